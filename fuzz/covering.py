"""Which test of a package runs which line of it, each test in a process that can be ended."""

import ast
import json
import os
import signal
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

SAID, COVERED = "said.txt", "covered.json"
"""Beside the tree: what the tests of the last process printed, and which lines they ran."""


@dataclass(frozen=True)
class Covered:
    """What the tests of a package run.

    Attributes:
        seconds: Of each test.
        tests: File and line to the tests that run it.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    tests: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))

    def of(self, file: str, line: int, source: str) -> list[str]:
        """The tests of a line, those of the quickest files first; of its file if it is imported."""
        found = {t for each in _statement(source, line) for t in self.tests.get((file, each), ())}
        if not found:
            called = _called(source)
            found = {t for each in called for t in self.tests.get((file, each), ())}
        spent: dict[str, float] = defaultdict(float)
        for test in found:
            spent[test.split("::")[0]] += self.seconds[test]
        return sorted(found, key=lambda test: (spent[test.split("::")[0]], test))


class Recorder:
    """A plugin of pytest: which test runs which line, with its fixtures wherever they were made."""

    def __init__(self, package: str, root: Path) -> None:
        from coverage import Coverage

        self.root = root
        self.coverage = Coverage(
            data_file=None, config_file=False, include=[f"{root}/src/sequela/{package}/*"]
        )
        self.seconds: dict[str, float] = {}
        self.users: dict[str, set[str]] = defaultdict(set)
        self.context = ""

    def _switch(self, context: str) -> str:
        before, self.context = self.context, context
        self.coverage.switch_context(context)
        return before

    def pytest_sessionstart(self) -> None:
        """Lines are noted from here on."""
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Lines are those of this test, and so are those of all its fixtures."""
        info: Any = getattr(item, "_fixtureinfo", None)
        for name, made in info.name2fixturedefs.items() if info else ():
            for each in made:
                self.users[f"{each.baseid} {name}"].add(item.nodeid)
        self._switch(item.nodeid)
        began = time.perf_counter()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.perf_counter() - began
            self._switch("")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        """Lines are those of a fixture, whoever uses it."""
        before = self._switch(f"{fixturedef.baseid} {fixturedef.argname}")
        try:
            return (yield)
        finally:
            self._switch(before)

    def pytest_sessionfinish(self) -> None:
        """All is written."""
        self.coverage.stop()
        data = self.coverage.get_data()
        tests: dict[str, dict[int, list[str]]] = {}
        for name in data.measured_files():
            lines = tests.setdefault(str(Path(name).relative_to(self.root)), {})
            for line, contexts in data.contexts_by_lineno(name).items():
                of = {t for c in contexts for t in self.users.get(c, {c} if c else ())}
                lines[line] = sorted(of & self.seconds.keys())
        found = {"seconds": self.seconds, "tests": tests}
        (self.root.parent / COVERED).write_text(json.dumps(found), "utf-8")


@cache
def _called(source: str) -> frozenset[int]:
    """Lines that run when a function is called; not those of a function that remembers."""
    lines: set[int] = set()
    remembered: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = range(node.body[0].lineno, (node.end_lineno or 0) + 1)
            lines.update(body)
            if any("cache" in ast.unparse(each) for each in node.decorator_list):
                remembered.update(body)
    return frozenset(lines - remembered)


def _statement(source: str, line: int) -> list[int]:
    """The lines of the statement at a line, without those below its head; none at import."""
    around = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    if not around:  # a decorator
        return []
    inner = max(around, key=lambda node: (node.lineno, -(node.end_lineno or 0)))
    body: list[ast.stmt] = getattr(inner, "body", [])
    end = body[0].lineno - 1 if body else inner.end_lineno or 0
    return [each for each in range(inner.lineno, max(end, line) + 1) if each in _called(source)]


def run_tests(root: Path, tests: Sequence[str], plugins: Sequence[object], seconds: float) -> int:
    """Run pytest in a process of its own that has the heavy libraries: its status, -1 if late."""
    process = os.fork()
    if process == 0:
        os.setsid()
        said = os.open(root.parent / SAID, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream in (0, 1, 2):
            os.dup2(said, stream)
        os.chdir(root)
        status = 70
        try:
            wanted = ["-q", "-x", "-p", "no:cacheprovider", "-p", "calm", *tests]
            status = int(pytest.main([*wanted, f"--basetemp={root.parent / 'made'}"], plugins))
        except BaseException:  # noqa: BLE001 (nothing may leave this process another way)
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)
    end = time.monotonic() + seconds
    status = -1
    while status < 0 and time.monotonic() < end:
        ended, code = os.waitpid(process, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) & 255 if ended else -1
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)  # what the tests have left running, too
    if status < 0:
        os.waitpid(process, 0)
    return status


def covered(package: str, root: Path, kept: Path) -> Covered:
    """What the tests of a package run, on the code as it is.

    Args:
        package: Of sequela.
        root: The tree.
        kept: A file with what is known from before: files of tests that have not changed since are
            not run again while the package has not. A file whose tests fail is left out, and told.
    """
    of = root / "src/sequela" / package
    digest = _digest([*of.rglob("*.py"), *(root / "tests").rglob("conftest.py")])
    here = [*(root / f"tests/{package}").rglob("test_*.py"), *of.rglob("*.py")]
    with_tests = [f for f in here if f.name.startswith("test_") or ">>>" in f.read_text("utf-8")]
    files = {str(file.relative_to(root)): _digest([file]) for file in with_tests}
    known = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    before = known["files"] if known.get("digest") == digest else {}
    found = {n: before[n] for n, d in files.items() if before.get(n, {}).get("digest") == d}
    for name in sorted(files.keys() - found.keys()):
        status = run_tests(root, [name], [Recorder(package, root)], 3600)
        if status:
            said = (root.parent / SAID).read_text("utf-8", "replace")[-2000:]
            print(f"{said}\n{name} is left out: it fails on the code as it is", flush=True)
            continue
        read = json.loads((root.parent / COVERED).read_text("utf-8"))
        found[name] = {**read, "digest": files[name]}
        kept.write_text(json.dumps({"digest": digest, "files": found}), "utf-8")
    result = Covered()
    for each in found.values():
        result.seconds.update(each["seconds"])
        for file, lines in each["tests"].items():
            for line, tests in lines.items():
                result.tests[file, int(line)] |= {*tests}
    return result


def _digest(files: Sequence[Path]) -> str:
    return sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()
