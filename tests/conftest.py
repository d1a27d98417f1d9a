"""What holds for all tests, and the option `--skipped` to run those that a whole run skipped."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest

os.environ.setdefault("WENGERT_STRICT", "1")  # a fault of the compiler's is no slow success
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: threads would only wait

KEPT = "wengert/skipped"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--skipped", action="store_true",
                     help="only what the last run of all tests skipped, as for want of PyTorch")


class Skipped:
    """What is skipped, tests and whole files; workers tell the process that started them."""

    def __init__(self, config: pytest.Config) -> None:
        self.config, self.names = config, set[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            self.names.add(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.names.add(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.names |= set(getattr(node, "workeroutput", {}).get(KEPT, ()))

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self) -> Iterator[None]:
        yield  # until the workers are done
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput[KEPT] = sorted(self.names)
        elif all_of_them(self.config):
            self.config.cache.set(KEPT, sorted(self.names))


def all_of_them(config: pytest.Config) -> bool:
    """Whether all tests run, and what comes of it may be kept."""
    return (config.args_source is config.ArgsSource.TESTPATHS and hasattr(config, "cache")
            and not (config.option.keyword or config.option.markexpr))


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--skipped"):
        config.pluginmanager.register(Skipped(config))
    elif not config.cache.get(KEPT, ()):
        raise pytest.UsageError("--skipped: no run of all tests has skipped any")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--skipped"):
        names = set(config.cache.get(KEPT, ()))
        kept = [item for item in items if names & {node.nodeid for node in item.listchain()}]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept


def pytest_collection_finish() -> None:
    """Tests that collect garbage need not go through all tests each time."""
    gc.freeze()
