"""Strategies that damage files, and the comparison of what is read with a second reader.

A *seed* is a small valid input in the published form. Damaged, it must be refused with one of our
errors, or give the values of the seed, or those that a plain second reader, which is written apart
from the package, finds in the changed text. The last is allowed only where a text can be changed
without a trace: in a csv file without a checksum, another digit is another number.

`pytest tests/fuzz --hypothesis-profile long --hypothesis-show-statistics` draws many examples, and
prints how many of them were refused.
"""

import json
import math
import resource
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import repeat, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st

from sequela.errors import SequelaError

SECONDS = 10  # processor seconds that reading may take
BYTES = 2_000_000_000  # of memory that reading may add
Files = Mapping[str, bytes]
"""Path relative to the input's folder, to content."""
Change = Callable[[bytes], st.SearchStrategy[bytes]]
"""Makes the strategy that changes a content."""

FIELDS = (
    "", " ", "nan", "NaN", "inf", "-inf", "Infinity", "1e400", "-1", "-5", "0", "1", "2",
    "1.5", "1e3", "0x10", "1_000", "+5", "007", "99:99", "24:00", "9007199254740993",
    "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1" * 400,
    "9999-12-31 00:00:00", "290000-01-01 00:00:00", "2100-01-01 00:00:00+05:30",
    "0044-03-15 BC",
    "\N{ARABIC-INDIC DIGIT FIVE}", "\N{FULLWIDTH DIGIT FIVE}", "true", "null", "None", "'", '"',
    '""', '"a,b"', "=1+1", "\0", "\N{MINUS SIGN}1", "a" * 1000,
)  # fmt: skip
"""Texts of a field."""
LEAVES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, -0.0, 1e308, math.nan, math.inf, 2**31, 2**53 + 1, 2**63,
    10**400, "", "x", "\0", "../../x", "<script>", [], {}, [None], [[]], {"": None},
    {"x": {"y": []}}, "1",
)  # fmt: skip
"""Values of JSON."""
EXTREMES = tuple(
    value for n in (2, 4, 8) for value in (bytes(n), b"\1" + bytes(n - 1), b"\xff" * n)
)
"""Lengths, offsets and counts of two, four and eight bytes."""


def examples(share: int = 1) -> settings:
    """Return settings for a share of the examples that the profile of hypothesis has."""
    return settings(
        max_examples=-(-settings().max_examples // share),
        suppress_health_check=list(HealthCheck),
    )


@lru_cache(64)
def changed_bytes(content: bytes) -> st.SearchStrategy[bytes]:
    """Change any file: another bit or value, or a part that is missing, repeated or added."""
    place = st.integers(0, len(content))
    width = st.integers(1, 600)
    values = st.binary(min_size=1, max_size=8) | st.sampled_from(EXTREMES)
    junk = st.sampled_from((bytes(20), b"x", content[:40], b"\n\n", content))
    return st.one_of(
        st.builds(
            lambda at, value: content[:at] + value + content[at + len(value) :], place, values
        ),
        st.builds(lambda at, bit: _flipped(content, at, bit), place, st.integers(0, 7)),
        place.map(lambda at: content[:at]),
        place.map(lambda at: content[at:]),
        st.integers(1, 8).map(lambda size: content[:-size]),
        st.builds(lambda at, size: content[:at] + content[at + size :], place, width),
        st.builds(lambda at, size: content[: at + size] + content[at:], place, width),
        (junk | st.binary(min_size=40, max_size=40)).map(lambda end: content + end),
        st.just(b""),
    )


def _flipped(content: bytes, place: int, bit: int) -> bytes:
    return (
        content[:place]
        + bytes(b ^ 1 << bit for b in content[place : place + 1])
        + content[place + 1 :]
    )


@lru_cache(64)
def changed_text(content: bytes) -> st.SearchStrategy[bytes]:
    """Change a text of lines: its bytes, its lines, its encoding, or one of its fields."""
    lines = content.splitlines(keepends=True) or [b""]
    line, place = st.integers(0, len(lines) - 1), st.integers(0, len(content))
    unix = content.replace(b"\r\n", b"\n")
    encodings = (
        b"\xef\xbb\xbf" + content,
        content.decode("latin-1").encode("utf-16"),
        unix.replace(b"\n", b"\r\n"),
        unix.replace(b"\n", b"\r"),
    )
    return st.one_of(
        changed_bytes(content),
        line.map(lambda n: b"".join(lines[:n])),
        line.map(lambda n: b"".join(lines[:n] + lines[n + 1 :])),
        st.builds(lambda n, m: b"".join([*lines[:n], lines[m], *lines[n:]]), line, line),
        st.builds(lambda n, m: b"".join(_swapped(lines, n, m)), line, line),
        place.map(lambda at: content[:at] + b"\0" + content[at:]),
        st.sampled_from(encodings),
        changed_field(content),
    )


def _swapped(items: list[bytes], first: int, second: int) -> list[bytes]:
    order = list(range(len(items)))
    if max(first, second) < len(items):
        order[first], order[second] = second, first
    return [items[n] for n in order]


@st.composite
def changed_field(draw: st.DrawFn, content: bytes) -> bytes:
    """Replace a field of a csv line, or a line without commas; half by one of the same column."""
    lines = content.split(b"\n")
    rows = st.integers(0, len(lines) - 1)
    number = draw(rows)
    fields = lines[number].split(b",")
    column = draw(st.integers(0, len(fields) - 1))
    others = lines[draw(rows)].split(b",")[column : column + 1] or [b""]
    fields[column] = draw(st.sampled_from(FIELDS).map(str.encode) | st.sampled_from(others))
    lines[number] = b",".join(fields)
    return b"\n".join(lines)


@lru_cache(64)
def changed_csv(content: bytes) -> st.SearchStrategy[bytes]:
    """Change a csv text: as a text, its separator, or a column."""
    rows = [line.split(b",") for line in content.split(b"\n")]
    column = st.integers(0, len(rows[0]) - 1)
    marks = st.sampled_from((b";", b"\t", b"|"))

    def of_all(change: Callable[[list[bytes]], list[bytes]], count: int | None = None) -> bytes:
        return b"\n".join(
            b",".join(row) for row in [*map(change, rows[:count]), *rows[count or len(rows) :]]
        )

    return st.one_of(
        changed_text(content),
        *repeat(changed_field(content), 6),
        marks.map(lambda mark: content.replace(b",", mark)),
        st.builds(
            lambda n, m, count: of_all(lambda row: _swapped(row, n, m), count),
            column, column, st.sampled_from((1, None)),
        ),
        column.map(lambda n: of_all(lambda row: row[:n] + row[n + 1 :])),
        column.map(lambda n: of_all(lambda row: row + row[n : n + 1])),
    )  # fmt: skip


@st.composite
def changed_value(draw: st.DrawFn, content: bytes) -> bytes:
    """Edit JSON, or one of several lines of JSON: a value, a name, or a name twice."""
    lines = [content] if content.startswith(b"{\n") else content.splitlines()
    number = draw(st.integers(0, max(len(lines) - 1, 0)))
    try:
        value = json.loads(lines[number])
        holder, key = draw(st.sampled_from(list(_places(value))))
    except (ValueError, IndexError, RecursionError):
        return content
    kind = draw(st.sampled_from(("leaf", "leaf", "leaf", "missing", "name", "list", "twice")))
    leaf = draw(st.sampled_from(LEAVES))
    if kind == "leaf":
        holder[key] = leaf
    elif kind == "missing":
        del holder[key]
    elif kind == "name" and isinstance(holder, dict):
        holder[f"{key}x"] = holder.pop(key)
    elif kind == "list":
        for _ in range(draw(st.sampled_from((1, 2, 200)))):
            holder[key] = [holder[key]]
    text = json.dumps(value, indent=1 if lines == [content] else None, ensure_ascii=False)
    if kind == "twice" and isinstance(value, dict) and value:
        again = json.dumps({draw(st.sampled_from(sorted(value))): leaf})
        text = f"{text[:-1]}, {again[1:-1]}}}"
    lines[number] = text.encode()
    return b"\n".join(lines) + b"\n"


@lru_cache(64)
def changed_json(content: bytes) -> st.SearchStrategy[bytes]:
    """Change JSON or lines of JSON: as a text, nested too deep, or by an edit."""
    deep = st.sampled_from((b"[", b'{"a":')).map(lambda sign: sign * 100_000)
    return st.one_of(changed_text(content), deep, changed_value(content), changed_value(content))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each list or object within a value, with each of its keys."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield value, key
            yield from _places(inner)


def _equal(first: bytes, second: bytes) -> int:
    """Return how many bytes at the start are equal."""
    pairs = zip(first, second, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


@dataclass(frozen=True)
class Damaged:
    """A changed input.

    Attributes:
        files: The files of the folder.
        plain: The same unpacked; ``None`` if the packing itself was damaged.
        before: The files of the seed, unpacked where ``plain`` is.
    """

    files: Files
    plain: Files | None
    before: Files

    def _repr_pretty_(self, printer: Any, _: bool) -> None:  # noqa: FBT001
        """Print the changed bytes for hypothesis, and not the rest of the files."""
        after = self.files if self.plain is None else self.plain
        for name, old in self.before.items():
            new = after[name]
            start = _equal(old, new)
            end = _equal(old[start:][::-1], new[start:][::-1])
            if old != new:
                part = new[start : len(new) - end]
                printer.text(f"{name}: bytes {start} to {len(old) - end} are {part!r:.300}")


@dataclass(frozen=True)
class Case:
    """A reader under test.

    Attributes:
        seed: Makes a valid input, unpacked.
        read: Reads a folder of files; raises ``SequelaError``.
        change: Changes an unpacked file.
        second_reader: Reads unpacked files a second time; ``None`` if they may not be accepted.
            Without it, only the seed's values are right.
        pack: Packs the files.
        change_packed: Changes a packed file.
    """

    seed: Callable[[], Files]
    read: Callable[[Path], Any]
    change: Change = field(default=changed_bytes)
    second_reader: Callable[[Files], Any] | None = None
    pack: Callable[[Files], Files] = dict
    change_packed: Change | None = None

    @cached_property
    def values(self) -> Any:
        """The values of the seed."""
        return self.read_files(self.packed)

    @cached_property
    def packed(self) -> Files:
        """The files of the seed, packed."""
        return self.pack(self.seed())

    def read_files(self, files: Files) -> Any:
        """Write files, and read them."""
        with TemporaryDirectory(prefix="fuzz-") as name:
            for file, content in files.items():
                path = Path(name, file)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            return self.read(Path(name))

    def check(self, data: st.DataObject) -> None:
        """Fail if damaged files are accepted with other values, or end in an error not ours."""
        values = self.values
        damage = data.draw(damaged(self), "damage")
        message = new = None
        try:
            with limits():
                new = self.read_files(damage.files)
        except SequelaError as error:
            message = str(error).strip()
        if message is not None:
            assert message
            assert "\n" not in message, message
            event("refused")
            return
        if same(new, values):
            event("the seed's values")
            return
        second = None
        if self.second_reader and damage.plain is not None:
            second = self.second_reader(damage.plain)
        assert second is not None, f"accepted {new!r:.500}, and not by a second reader"
        assert same(new, second), f"read {new!r:.500}, a second reader {second!r:.500}"
        event("the second reader's values")


@st.composite
def damaged(draw: st.DrawFn, case: Case) -> Damaged:
    """Change a file once or twice, or change a packed file."""
    plain = dict(case.seed())
    if case.change_packed and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(case.packed)))
        content = draw(case.change_packed(case.packed[name]))
        files = {**case.packed, name: content}
        if name in plain:  # a file that is not packed
            return Damaged(files, {**plain, name: content}, plain)
        return Damaged(files, None, case.packed)
    for _ in range(draw(st.sampled_from((1, 1, 1, 1, 2)))):
        name = draw(st.sampled_from(sorted(plain)))
        plain[name] = draw(case.change(plain[name]))
    return Damaged(case.pack(plain), plain, case.seed())


@contextmanager
def limits() -> Iterator[None]:
    """Fail after too many processor seconds, or with too much memory."""

    def end(*_: object) -> None:
        pytest.fail(f"over {SECONDS} processor seconds")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert kilobytes * 1024 < BYTES


def same(first: Any, second: Any) -> bool:
    """Whether two values are the same: NaN is equal to NaN, and 1 to neither 1.0 nor true."""
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        equal_nan = first.dtype.kind == "f"
        return first.dtype == second.dtype and np.array_equal(first, second, equal_nan=equal_nan)
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, float) and isinstance(second, float) and math.isnan(first):
        return math.isnan(second)
    return type(first) is type(second) and bool(first == second)
