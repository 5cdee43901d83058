"""Texts that a person has read: what is made must say the same, whatever its results are.

After a change that is meant, `SEQUELA_APPROVE=1 pytest tests/report` writes them anew:
read the difference before it is committed.
"""

import os
import platform
import re
from difflib import unified_diff
from html.parser import HTMLParser
from pathlib import Path

FOLDER = Path(__file__).parent / "approved"
UNREAD = ("script", "style", "svg")
_MACHINE = f"{platform.machine()}|{platform.system()}|cores \\d+"
_HASH = r"\b(?=[a-f]*\d)[0-9a-f]{7,}(?:-dirty)?\b"
_WHOLE = r"\d+(?:,\d+)*"
_UNIT = r" (?:kB|µs|ms|s|min|minutes?|h|hours?|seconds of training)\b"
_DATE = r"\d{4}-\d\d(?:-\d\d)?"
_DECIMAL = rf"[-+\u2212]?{_WHOLE}(?:(?:[.:]\d+)+(?:e[-+]?\d+)?|e[-+]?\d+)(?:\+c\w+)?(?:{_UNIT})?"
_RESULT = rf"[-+\u2212]{_WHOLE}|{_WHOLE}(?:{_UNIT}|(?= ?%| of 100 ))"
_VARIES = rf"(?<=synthetic)\d+|{_MACHINE}|{_HASH}|{_DATE}|{_DECIMAL}|{_RESULT}"
_MATRIX = rf"(?m)^(\| [^|\n]+ \|)(?: {_WHOLE} \|){{2,}} ?$"
_BETWEEN = rf"(?m)(^|\(|interval )(?:#|{_WHOLE}) to (?:#|{_WHOLE})"


class _Texts(HTMLParser):
    """The texts of a page, one a line; those of scripts, styles and drawings left out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._unread = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unread += tag in UNREAD
        if not self._unread:
            self.found += [text for name, text in attrs if name == "aria-label" and text]

    def handle_endtag(self, tag: str) -> None:
        self._unread -= tag in UNREAD

    def handle_data(self, data: str) -> None:
        if not self._unread:
            self.found.append(data)


def texts_of(page: str) -> str:
    """What a page says."""
    texts = _Texts()
    texts.feed(page)
    return "\n".join(texts.found)


def assert_approved(name: str, text: str) -> None:
    """See that a text is the approved one of that name, but for results, times and places.

    Whole numbers are compared, for they are counts and settings; others vary by machine.
    """
    text = re.sub(r"(?:- )?commit \S+\s|\nCommit\n.*", "", text)  # known only in a clone
    # The number of evaluations depends on the tests before.
    text = re.sub(r"(evaluated) (?:once|\d+ times), with \d+ models?", r"\1", text)
    text = re.sub(r" Evaluations on these data used [^.]+\.", "", text)
    # Whether the event is more or less frequent than predicted is a result.
    text = re.sub(r"(?m)^.*: observed over expected: .*\n?", "", text)
    masked = re.sub(_VARIES, "#", re.sub(_MATRIX, r"\1 # |", text)).replace("#.dev0", "#")
    masked = re.sub(_BETWEEN, r"\1# to #", masked)
    lines = (" ".join(line.split()) for line in masked.splitlines())
    said = [line for line in dict.fromkeys(lines) if line.strip("#< ")]  # each once
    assert "{" not in masked  # a value that was not filled in
    file = FOLDER / f"{name}.txt"
    if os.environ.get("SEQUELA_APPROVE") == "1":
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join([*said, ""]), "utf-8")
    approved = file.read_text("utf-8").splitlines()
    assert said == approved, "\n".join(unified_diff(approved, said, "approved", "now", n=0))
