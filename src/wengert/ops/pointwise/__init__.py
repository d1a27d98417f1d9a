"""Functions of elements, in PyTorch's words.

    words        how words are made of primitives
    functions    of one operand
    arithmetic   of two: sums, products, powers, extremes
    comparisons  questions
    bits         bits and whole numbers
    complexes    complex numbers
"""

from .arithmetic import *
from .bits import *
from .comparisons import *
from .complexes import *
from .functions import *
