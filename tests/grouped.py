"""Tests of many small cases, as one test for each group of them.

Collecting, starting and reporting a test takes longer than most cases run. All cases of a group
are tried, and the failure names each one that fails. If one is skipped, so is the test in the end.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import pytest

Check = Callable[[Any], None]


def grouped(cases: Iterable[Any], by: Callable[[Any], str]) -> Callable[[Check], Any]:
    """Makes the check of a case a test of each group of cases.

    Args:
        cases: what the check takes, one at a time; `str` names them, or the parts of a tuple.
        by: the name of a case's group.
    """
    groups: dict[str, list[Any]] = {}
    for case in cases:
        groups.setdefault(by(case), []).append(case)

    def decorate(check: Check) -> Any:
        @functools.wraps(check)
        def test(group: str) -> None:
            raised = [error for case in groups[group] if (error := tried(check, case))]
            failures = [error for error in raised if isinstance(error, Exception)]
            if failures:
                count = f"{len(failures)} of {len(groups[group])}"
                raise ExceptionGroup(f"{group}: {count} cases fail", failures)
            for skipped in raised:
                raise skipped

        test.__signature__ = inspect.Signature([  # for pytest: `wraps` leaves that of the check
            inspect.Parameter("group", inspect.Parameter.POSITIONAL_OR_KEYWORD)])
        return pytest.mark.parametrize("group", groups)(test)

    return decorate


def tried(check: Check, case: Any) -> Exception | pytest.skip.Exception | None:
    """What a check of a case raises, with the case's name."""
    try:
        check(case)
    except (Exception, pytest.skip.Exception) as error:
        parts = case if isinstance(case, tuple) else (case,)
        error.add_note(f"in the case {', '.join(map(str, parts))}")
        return error
    return None


def by_primitive(samples: Iterable[Any]) -> Callable[[Check], Any]:
    """Makes the check of a sample a test of each primitive that has samples."""
    return grouped(samples, attrgetter("name"))
