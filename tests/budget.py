"""Which tests a run of pytest takes, and the processor seconds that each of them needs."""

import os
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

LONGER = Path(__file__).with_name("longer.txt")
"""Tests and fixtures that ``--level quick`` leaves out, a name a line."""
LIMIT = 0.3
"""Processor seconds of what is listed there, at least."""
ABSENT = {"browser", "java", "real_data"}
"""Fixtures for programs and data that pip does not install: their tests are slow ones."""
SLOWEST = 20
_SLOW = "slow(but=ID): only with --level all; of a test with parameters, the case ID always runs"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--level",
        choices=["sample", "quick", "usual", "all"],
        default="all",
        help="quick: what takes a third of a second at most; sample: the first case of each "
        "quick test; usual: all but the slow; all",
    )
    parser.addoption("--budget", type=float, help="most processor seconds of a test: more fails")
    parser.addoption("--sum", type=float, help="most processor seconds of all usual tests together")
    parser.addoption("--list-longer", action="store_true", help=f"write {LONGER.name} anew")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _SLOW)
    config.pluginmanager.register(Seconds(config), "seconds")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the level does not have."""
    level = config.getoption("level")
    longer, functions = set[str](), set[str]()
    if level in ("sample", "quick"):
        longer = set(LONGER.read_text("utf-8").splitlines())
    chosen, left = list[pytest.Item](), list[pytest.Item]()
    for item in items:
        out = level != "all" and (_slow(item) or not longer.isdisjoint(_names(item)))
        function = item.nodeid.partition("[")[0]
        out = out or (level == "sample" and function in functions)
        functions |= set() if out else {function}
        (left if out else chosen).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = chosen


def _slow(item: pytest.Item) -> bool:
    marks = list(item.iter_markers("slow"))
    case = item.name.partition("[")[2].removesuffix("]")
    absent = ABSENT.intersection(getattr(item, "fixturenames", ()))
    return bool(absent) or any(mark.kwargs.get("but") != case or not case for mark in marks)


def _names(item: pytest.Item) -> set[str]:
    """Return the names that a test may have in the list: its own, and those of its fixtures."""
    if not isinstance(item, pytest.Function):
        return {item.nodeid}
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    return {item.nodeid} | {_fixture(each[-1]) for each in fixtures}


def _fixture(definition: pytest.FixtureDef[Any]) -> str:
    return f"{definition.baseid}::{definition.argname} (fixture)"


class Seconds:
    """Processor seconds of this process and of its subprocesses that have ended."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.worker = os.environ.get("PYTEST_XDIST_WORKER")
        self.last = self.now()
        self.of_fixtures: dict[str, float] = {}
        self.within = [0.0]
        self.phases: dict[str, float] = defaultdict(float)
        self.calls: dict[str, float] = defaultdict(float)
        self.shared: dict[str, float] = {}
        self.total = 0.0
        self.usual = 0.0  # of the tests that are not slow, with their fixtures

    @staticmethod
    def now() -> float:
        return sum(os.times()[:4])

    def pytest_runtest_logstart(self) -> None:
        self.last = self.now()  # what came before was collecting, not a test

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        """Count a shared fixture without the shared fixtures that it asks for."""
        if fixturedef.scope == "function":
            return (yield)
        began = self.now()
        self.within.append(0.0)
        try:
            return (yield)
        finally:
            took = self.now() - began
            own = took - self.within.pop()
            self.within[-1] += took
            self.of_fixtures[_fixture(fixturedef)] = own

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Give each phase of a test the seconds since the phase before."""
        report = yield
        now = self.now()
        report.processor, self.last = now - self.last, now
        report.slow = _slow(item)
        report.fixtures, self.of_fixtures = self.of_fixtures, {}
        return report

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Collect them, in the process that has the terminal; a shared fixture is no test's own."""
        own = report.processor - sum(report.fixtures.values())
        self.phases[f"{report.nodeid} ({report.when})"] += own
        self.calls[report.nodeid] += own
        self.shared.update(report.fixtures)
        self.total += report.processor
        self.usual += 0.0 if report.slow else report.processor

    def over(self) -> list[str]:
        """Return the phases that took more than the budget, and the sum if that is too high."""
        budget = self.config.getoption("budget")
        over = [] if budget is None else [n for n, s in self.phases.items() if s > budget]
        most = self.config.getoption("sum")
        if most is not None and self.usual > most:
            over.append(f"all usual tests together, {self.usual:.0f} of {most:.0f}")
        return over

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.worker is None and self.over():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the sum and the slowest, and what is over the budget."""
        if self.config.getoption("list_longer"):
            both = {**self.calls, **self.shared}
            lines = [f"{name}\n" for name in sorted(both) if both[name] > LIMIT]
            LONGER.write_text("".join(lines), "utf-8")
        terminalreporter.section("processor seconds")
        both = {**self.phases, **self.shared}
        for name in sorted(both, key=both.__getitem__, reverse=True)[:SLOWEST]:
            terminalreporter.line(f"{both[name]:7.1f}  {name}")
        terminalreporter.line(f"{self.total:7.1f}  in all, {self.usual:.1f} of the usual tests")
        for name in self.over():
            terminalreporter.line(f"over the budget: {name}", red=True)
