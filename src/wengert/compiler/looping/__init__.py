"""Loops and choices as lines of a program: found in what repeats itself, or said explicitly."""
