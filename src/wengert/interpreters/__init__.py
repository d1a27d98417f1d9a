"""Interpreters of primitives: eager evaluation, the reverse tape, views and in-place writes."""
