"""From runs of Python to a program: what is applied, what is looked at, what is reached."""
