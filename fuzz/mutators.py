"""Changes that happen to files: on disks, in transfers, in spreadsheets, and on purpose."""

import gzip
import json
from collections.abc import Mapping
from random import Random
from typing import Any

from fuzz.parser import Mutator

FIELDS = (
    "",
    " ",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "Infinity",
    "1e400",
    "-1",
    "-5",
    "0",
    "1.5",
    "1e3",
    "0x10",
    "1_000",
    "+5",
    "007",
    "99:99",
    "24:00",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "1" * 400,
    "9999-12-31 00:00:00",
    "290000-01-01 00:00:00",
    "2100-01-01 00:00:00+05:30",
    "0044-03-15 BC",
    "\N{ARABIC-INDIC DIGIT FIVE}",
    "\N{FULLWIDTH DIGIT FIVE}",
    "true",
    "null",
    "None",
    "'",
    '"',
    '""',
    '"a,b"',
    "=1+1",
    "\0",
    "\N{MINUS SIGN}1",
    "a" * 1000,
)
"""What may stand in a field."""


def flip_bit(rng: Random, content: bytes) -> bytes:
    """One bit."""
    if not content:
        return content
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def set_bytes(rng: Random, content: bytes) -> bytes:
    """One to eight bytes in a row."""
    place, length = rng.randrange(len(content) + 1), rng.randint(1, 8)
    return content[:place] + rng.randbytes(length) + content[place + length :]


def set_extreme(rng: Random, content: bytes) -> bytes:
    """Two, four or eight bytes to zero, one, or all bits: lengths, offsets and counts."""
    width = rng.choice((2, 4, 8))
    place = rng.randrange(max(len(content) - width, 1))
    value = rng.choice((b"\0" * width, b"\1" + b"\0" * (width - 1), b"\xff" * width))
    return content[:place] + value + content[place + width :]


def cut(rng: Random, content: bytes) -> bytes:
    """The end is missing."""
    return content[: rng.randrange(len(content) + 1)]


def cut_start(rng: Random, content: bytes) -> bytes:
    """The beginning is missing."""
    return content[rng.randrange(len(content) + 1) :]


def drop_block(rng: Random, content: bytes) -> bytes:
    """Some bytes in the middle are missing."""
    place = rng.randrange(len(content) + 1)
    return content[:place] + content[place + rng.randint(1, 600) :]


def repeat_block(rng: Random, content: bytes) -> bytes:
    """Some bytes in the middle are there twice."""
    place = rng.randrange(len(content) + 1)
    return content[: place + rng.randint(1, 600)] + content[place:]


def append_junk(rng: Random, content: bytes) -> bytes:
    """Something stands behind the end."""
    return content + rng.choice((b"\0" * 20, b"x", rng.randbytes(40), content[:40], b"\n\n"))


def empty(_: Random, __: bytes) -> bytes:
    """Nothing is left."""
    return b""


def twice(_: Random, content: bytes) -> bytes:
    """All is there twice; of gzip, a second stream."""
    return content + content


def second_stream(rng: Random, content: bytes) -> bytes:
    """A second gzip stream stands behind the first: RFC 1952 allows it."""
    return content + gzip.compress(rng.choice((b"", b"1", b"\n", b"1,2,3\n")), mtime=0)


def cut_at_line(rng: Random, content: bytes) -> bytes:
    """Lines at the end are missing."""
    lines = content.splitlines(keepends=True)
    return b"".join(lines[: rng.randrange(len(lines) + 1)])


def drop_line(rng: Random, content: bytes) -> bytes:
    """A line is missing."""
    lines = content.splitlines(keepends=True)
    if lines:
        del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def repeat_line(rng: Random, content: bytes) -> bytes:
    """A line is there twice."""
    lines = content.splitlines(keepends=True)
    if lines:
        lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    return b"".join(lines)


def swap_lines(rng: Random, content: bytes) -> bytes:
    """Two lines change places."""
    lines = content.splitlines(keepends=True)
    if lines:
        one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def bom(_: Random, content: bytes) -> bytes:
    """The mark that some programs put before UTF-8."""
    return b"\xef\xbb\xbf" + content


def utf16(_: Random, content: bytes) -> bytes:
    """Saved as UTF-16."""
    return content.decode("latin-1").encode("utf-16")


def nul(rng: Random, content: bytes) -> bytes:
    """A NUL byte."""
    place = rng.randrange(len(content) + 1)
    return content[:place] + b"\0" + content[place:]


def crlf(_: Random, content: bytes) -> bytes:
    """Lines end as on Windows."""
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def cr(_: Random, content: bytes) -> bytes:
    """Lines end as on the first Macs."""
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r")


def other_separator(rng: Random, content: bytes) -> bytes:
    """Fields are separated by another sign."""
    return content.replace(b",", rng.choice((b";", b"\t", b"|")))


def set_field(rng: Random, content: bytes) -> bytes:
    """A field of a csv line, or a line without commas, holds something else."""
    lines = content.split(b"\n")
    number = rng.randrange(len(lines))
    fields = lines[number].split(b",")
    fields[rng.randrange(len(fields))] = rng.choice(FIELDS).encode()
    lines[number] = b",".join(fields)
    return b"\n".join(lines)


def swap_columns(rng: Random, content: bytes) -> bytes:
    """Two columns change places, with their names or only their names."""
    rows = [line.split(b",") for line in content.split(b"\n")]
    width = len(rows[0])
    one, other = rng.randrange(width), rng.randrange(width)
    for row in rows[: 1 if rng.random() < 0.5 else None]:
        if max(one, other) < len(row):
            row[one], row[other] = row[other], row[one]
    return b"\n".join(b",".join(row) for row in rows)


def drop_column(rng: Random, content: bytes) -> bytes:
    """A column is missing."""
    rows = [line.split(b",") for line in content.split(b"\n")]
    column = rng.randrange(len(rows[0]))
    return b"\n".join(b",".join(row[:column] + row[column + 1 :]) for row in rows)


def repeat_column(rng: Random, content: bytes) -> bytes:
    """A column is there twice."""
    rows = [line.split(b",") for line in content.split(b"\n")]
    column = rng.randrange(len(rows[0]))
    return b"\n".join(b",".join([*row, *row[column : column + 1]]) for row in rows)


BYTES: Mapping[str, Mutator] = {
    "bit flip": flip_bit,
    "bytes": set_bytes,
    "extreme bytes": set_extreme,
    "cut": cut,
    "cut start": cut_start,
    "block missing": drop_block,
    "block twice": repeat_block,
    "junk at the end": append_junk,
    "empty": empty,
}
"""Of any file."""

GZIP: Mapping[str, Mutator] = {**BYTES, "twice": twice, "second stream": second_stream}
"""Of a gzip file."""

TEXT: Mapping[str, Mutator] = {
    **BYTES,
    "cut at a line": cut_at_line,
    "line missing": drop_line,
    "line twice": repeat_line,
    "lines swapped": swap_lines,
    "BOM": bom,
    "UTF-16": utf16,
    "NUL": nul,
    "CRLF": crlf,
    "CR": cr,
    "field": set_field,
}
"""Of a text of lines."""

CSV: Mapping[str, Mutator] = {
    **TEXT,
    "separator": other_separator,
    "columns swapped": swap_columns,
    "column missing": drop_column,
    "column twice": repeat_column,
}
"""Of a csv text."""

LEAVES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    1.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    2**31,
    2**53 + 1,
    2**63,
    10**400,
    "",
    "x",
    "\0",
    "../../x",
    "<script>",
    [],
    {},
    [None],
    [[]],
    {"": None},
    {"x": {"y": []}},
    "1",
)
"""What may stand in JSON."""


def json_leaf(rng: Random, content: bytes) -> bytes:
    """A value somewhere in a JSON text is another."""
    return _edited(rng, content, lambda holder, key: holder.__setitem__(key, rng.choice(LEAVES)))


def json_delete(rng: Random, content: bytes) -> bytes:
    """A member of an object or list is missing."""
    return _edited(rng, content, lambda holder, key: holder.__delitem__(key))


def json_rename(rng: Random, content: bytes) -> bytes:
    """A member of an object has another name."""

    def rename(holder: Any, key: Any) -> None:
        if isinstance(holder, dict):
            holder[f"{key}x"] = holder.pop(key)

    return _edited(rng, content, rename)


def json_wrap(rng: Random, content: bytes) -> bytes:
    """A value stands in a list, or many."""

    def wrap(holder: Any, key: Any) -> None:
        for _ in range(rng.choice((1, 2, 200))):
            holder[key] = [holder[key]]

    return _edited(rng, content, wrap)


def json_deep(rng: Random, _: bytes) -> bytes:
    """Lists in lists, more than a parser can hold on its stack."""
    return rng.choice((b"[", b'{"a":')) * 100_000


def json_twice(rng: Random, content: bytes) -> bytes:
    """A key of the outermost object stands there twice."""
    lines = content.splitlines()
    number = rng.randrange(len(lines)) if lines else 0
    try:
        value = json.loads(lines[number])
        key, each = rng.choice(sorted(value.items()))
    except (ValueError, AttributeError, IndexError, RecursionError):
        return content.replace(b"{", b'{"model": 1, "epoch": 1, ', 1)
    again = json.dumps({key: rng.choice(LEAVES)})[1:-1]
    del each
    lines[number] = lines[number][:-1] + b", " + again.encode() + b"}"
    return b"\n".join(lines) + b"\n"


def _edited(rng: Random, content: bytes, edit: Any) -> bytes:
    """JSON, or one line of a file of JSON lines, with an edit at a random place."""
    lines = [content]
    number = 0
    indent: int | None
    try:
        value = json.loads(content)
        indent, end = 1, "\n"
    except RecursionError:
        return content
    except ValueError:
        lines = content.splitlines()
        number = rng.randrange(len(lines)) if lines else 0
        indent, end = None, ""
        try:
            value = json.loads(lines[number])
        except (ValueError, IndexError, RecursionError):
            return content
    places = list(_places(value))
    if not places:
        return content
    edit(*rng.choice(places))
    lines[number] = (json.dumps(value, indent=indent, ensure_ascii=False) + end).encode()
    return b"\n".join(lines) + (b"" if end else b"\n")


def _places(value: Any) -> Any:
    """Each list or object within a value, and each of its keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in items:
        yield value, key
        if isinstance(each, (dict, list)):
            yield from _places(each)


JSON: Mapping[str, Mutator] = {
    **TEXT,
    "leaf": json_leaf,
    "leaf again": json_leaf,
    "leaf once more": json_leaf,
    "member missing": json_delete,
    "member renamed": json_rename,
    "value in a list": json_wrap,
    "deep": json_deep,
    "key twice": json_twice,
}
"""Of JSON, or of lines of JSON: most of the changes leave it JSON."""
