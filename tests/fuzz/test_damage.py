"""The comparison itself: it fails for a reader that ignores damage or ends in another error."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.fuzz.damage import examples, limits
from tests.fuzz.test_runs import CASES

from sequela.errors import DataError


def careless(folder: Path) -> Any:
    return (folder / "history.jsonl").read_bytes()[:100]


def hasty(folder: Path) -> Any:
    (folder / "history.jsonl").read_bytes().decode()


def wordy(folder: Path) -> Any:
    if (folder / "history.jsonl").read_bytes() != CASES["history"].packed["history.jsonl"]:
        raise DataError("damaged\nread this")


@pytest.mark.parametrize(
    ("read", "error", "words"),
    [
        (careless, AssertionError, "not by a second reader"),
        (hasty, UnicodeDecodeError, "can't decode"),
        (wordy, AssertionError, "read this"),
    ],
)
def test_a_fault_is_noticed(
    read: Callable[[Path], Any], error: type[Exception], words: str
) -> None:
    case = replace(CASES["history"], read=read, second_reader=None)

    @settings(examples(2), phases=[Phase.generate])  # the smallest case is of no use here
    @given(st.data())
    def check(data: st.DataObject) -> None:
        case.check(data)

    with pytest.raises(error, match=words):
        check()


def test_a_slow_reader_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.damage.SECONDS", 0.01)
    with pytest.raises(pytest.fail.Exception, match="processor seconds"), limits():  # noqa: PT012
        while True:
            pass
