"""Grouped tests try each case, and name all that fail."""

from __future__ import annotations

import pytest

from grouped import grouped

CASES = ["ant", "ape", "bee", "boa"]
tried: list[str] = []


def is_insect(case: str) -> None:
    tried.append(case)
    assert case in ("ant", "bee")


animals = grouped(CASES, by=lambda case: case[0])(is_insect)


@pytest.mark.parametrize("group", ["a", "b"])
def test_all_cases_are_tried_and_those_that_fail_are_named(group: str) -> None:
    tried.clear()
    with pytest.raises(ExceptionGroup, match=f"{group}: 1 of 2 cases fail") as caught:
        animals(group)
    assert tried == [case for case in CASES if case.startswith(group)]
    (error,) = caught.value.exceptions
    assert error.__notes__ == [f"in the case {tried[1]}"]


def test_what_is_skipped_is_told_after_the_others_were_tried() -> None:
    def skips_the_first(case: str) -> None:
        tried.append(case)
        if case in ("ant", "bee"):
            pytest.skip(case)
        assert case == "boa"

    some = grouped(CASES, by=lambda case: case[0])(skips_the_first)
    with pytest.raises(pytest.skip.Exception, match="bee"):
        some("b")
    assert tried[-1] == "boa"
    with pytest.raises(ExceptionGroup, match="a: 1 of 2 cases fail"):
        some("a")


def test_each_group_is_a_test_of_the_checks_name() -> None:
    (mark,) = animals.pytestmark
    assert list(mark.args[1]) == ["a", "b"]
    assert animals.__name__ == "is_insect"
