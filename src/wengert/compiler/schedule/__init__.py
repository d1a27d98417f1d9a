"""Scheduling: from a program to a plan of loop nests, products and calls.

    lines       what is done about each line: noted as a recipe, or made a step
    placing     which group does what
    group       loop nests in the making
    recipes     how elements are worked out
    access      strides
    stages      from a group to a nest
    straight    tiny arrays: a scalar for every element
    memory      which memory is used when, and shared
"""

from .tree import schedule

__all__ = ["schedule"]
