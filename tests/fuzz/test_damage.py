"""The comparison itself: it fails for a reader that ignores damage or ends in another error."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.damage import examples
from tests.fuzz.test_runs import CASES

from sequela.errors import DataError


def careless(folder: Path) -> Any:
    return (folder / "history.jsonl").read_bytes()[:100]


def hasty(folder: Path) -> Any:
    return [line.decode() for line in (folder / "history.jsonl").read_bytes().splitlines()]


def wordy(folder: Path) -> Any:
    content = (folder / "history.jsonl").read_bytes()
    if content != CASES["history"].packed["history.jsonl"]:
        raise DataError("damaged\nread this")
    return content


def slow(folder: Path) -> Any:
    while (folder / "history.jsonl").read_bytes() != CASES["history"].packed["history.jsonl"]:
        pass


@pytest.mark.parametrize(
    ("read", "error", "words"),
    [
        (careless, AssertionError, "not by a second reader"),
        (hasty, UnicodeDecodeError, "can't decode"),
        (wordy, AssertionError, "read this"),
        (slow, pytest.fail.Exception, "processor seconds"),
    ],
)
def test_a_fault_is_noticed(
    read: Callable[[Path], Any],
    error: type[BaseException],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.fuzz.damage.SECONDS", 0.01)
    case = replace(CASES["history"], read=read, second_reader=None)

    @examples()
    @given(st.data())
    def check(data: st.DataObject) -> None:
        case.check(data)

    with pytest.raises(error, match=words):
        check()
