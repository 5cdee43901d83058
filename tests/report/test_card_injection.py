"""No text of a run becomes HTML, a link, a picture or a table of its card."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from sequela.report.card import build_card, markdown
from sequela.runs.find import Run

PAYLOAD = (
    "<img src=x onerror=alert(1)> [here](javascript:alert(1)) ![p](http://evil.example/p.png) "
    "a | b\n\n# heading\n\n| x |\n|---|\n| y |\n```\n<script>alert(1)</script>\n```\n"
    "<http://evil.example> http://evil.example www.evil.example `code` *bold* _it_ &lt;b&gt;"
)


_LOGIC = {"name", "model", "unit", "severity", "check"}
"""What names something that exists, or is compared with the settings: another text is refused."""


def _tokens(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _tokens(token.children or [])


def _kinds(text: str) -> Counter[str]:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return Counter(token.type for token in _tokens(parser.parse(text)))


def _hostile(value: Any, counted: list[int], name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _hostile(each, counted, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_hostile(each, counted, name) for each in value]
    if isinstance(value, str) and name not in _LOGIC:
        counted.append(1)
        return value + PAYLOAD
    return value


@pytest.mark.parametrize("place", [0, 4, -1])
def test_a_hostile_run_adds_nothing_to_its_card(
    record_runs: list[Run], tmp_path: Path, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = record_runs[place]
    first = run.first.path
    plain = build_card(run, tmp_path / "plain.md").read_text("utf-8")
    copied = Path(shutil.copytree(run.path, tmp_path / "run"))
    monkeypatch.setattr("sequela.integrity.openings.verify", lambda _: None)
    counted: list[int] = []
    inner = copied / first.relative_to(run.path)
    for file in ("metrics.json", "environment.json"):
        record = json.loads((inner / file).read_text("utf-8"))
        (inner / file).write_text(json.dumps(_hostile(record, counted)), "utf-8")
    found = build_card(type(run)(copied), tmp_path / "hostile.md").read_text("utf-8")
    assert len(counted) > 30
    assert "alert(1)" in found
    assert "<script" not in found.split("\n---\n", 1)[1]
    before, after = (_kinds(text.split("\n---\n", 1)[1]) for text in (plain, found))
    new = set(after - before)
    # A text may end with a full stop where the card's own bold ends, so that it is bold.
    assert new <= {"text", "text_special", "strong_open", "strong_close"}, new


@pytest.mark.parametrize(
    "text",
    [
        *("# x", "- x", "1. x", "+ x", "> x", "=====", "---", "    x", "\t# x"),
        *("<b>x</b>", "a\n\n# b", "[a](b)", "![a](b)", "**a**", "_a_", "~~a~~", "`a`"),
        *("<a@b.c>", "a\\", "&amp;", "\u202e"),
    ],
)
def test_text_stays_text(text: str) -> None:
    kinds = set(_kinds(str(markdown(text))))
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
