"""Passes: small functions from program to program, each of which keeps its meaning to the bit.

Each goes through the lines once, so that all of them together are linear in the program.
"""

from __future__ import annotations

from ..ir.program import Program
from ..ir.walk import checked, rewritten_within
from .common import common_subexpressions
from .constants import constants
from .dead import dead_code
from .early import early_lines
from .forwarding import dead_writes, forwarding
from .identities import fast_identities, identities
from .scattered import scattered_sums
from .scatters import scatters
from .windows import windows

__all__ = ["common_subexpressions", "constants", "dead_code", "dead_writes", "early_lines",
           "fast_identities", "forwarding", "identities", "scattered_sums", "scatters", "simplify",
           "windows"]


def simplify(program: Program, fastmath: bool = False) -> Program:
    """The program after all passes, in an order in which each leaves work for the next.

    Args:
        program: an expanded one.
        fastmath: whether identities may be used that hold for real numbers but not for all
            floats: 0 times infinity, the sign of zero.
    """
    program = rewritten_within(program, lambda body: simplify(body, fastmath))
    for each in (dead_code, constants, windows, scattered_sums, scatters, dead_writes, forwarding,
                 fast_identities if fastmath else identities, common_subexpressions, dead_code,
                 early_lines):
        program = checked(each(program))
    return program
