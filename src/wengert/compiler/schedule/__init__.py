"""Scheduling: from a program to a plan of loop nests, products and calls.

    tree        block by block, and the plan in its last form
    ahead       who needs what, and what can therefore be done with memory
    lines       what is done about each line: noted as a recipe, or made a step
    assembling  arrays that parts are written into, line by line
    placing     which group does what
    operations  which scalar operation a line is
    group       loop nests in the making
    recipes     how elements are worked out
    access      strides
    reductions, products, pieces (what is written into parts of an array)
    stages      from a group to a nest
    interchange nests turned, so that a sweep is long and along what lies side by side
    runs        which lines are taken together as scalars
    examples    how lines go that do the same for each of many small arrays
    straight    tiny arrays: a scalar for every element, of one example or of the whole
    memory      which memory is used when, and shared

Lines are taken in order. Nothing is computed where it is defined: an elementwise line is a recipe,
and a group of loops that needs its elements works them out in its own turns. Groups begin with
what has to be in memory (outputs, operands of products and calls) or is reduced; whatever shares
loops and values with a group joins it, as long as it needs nothing that is computed later. So
forward and backward pass meet in one nest. What several groups need is worked out in each if that
is cheap, and stored where it was computed first if not. What is stored and never read is left out
in the end.
"""

from .tree import schedule

__all__ = ["schedule"]
