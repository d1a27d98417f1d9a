"""Tensor's methods by family: tables of contents of `ops`, each a base of `Tensor`."""
