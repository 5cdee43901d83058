"""The arguments of `sequela cost`, one a line, next to closed forms for four models."""

import contextlib
import io
import json
import math
import re
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.damage import FIELDS, LEAVES, Case, Files, changed_text, examples

from sequela.cli.app import main
from sequela.errors import SettingError

FILE = "arguments.txt"
ENCODER = """
from torch import Tensor, nn

class Encoder(nn.Module):
    def __init__(self, hidden: int = 8) -> None:
        super().__init__()
        self.fc = nn.Linear(12, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)
"""
WORDS = (
    "--input", "--kwargs", "--convention", "--steps", "--lengths", "--pad-to", "--codes",
    "--derive", "--allow-unknown",
    "--json", "--", "-1", "auto", "gru-baseline", "visits-baseline", "mlp-baseline",
    "report-2019", "lengths", "BxT", "Bx12:int64", "1x178", "1..5000", "5..1", "3,,4", "{}",
    '{"hidden": 3}', '{"hidden": 1e9}', '{"n_outputs": 2}', "1" * 30, "9999999",
    "markdown", "--no-json", *FIELDS,
)  # fmt: skip
NUMBERS = ("1", "2", "5", "12", "178", "+5", "007", "1.5", "0x10", "1_000", "2,2", "1..3", "4,,1")
NUMBER = re.compile(r"[+]?0*[1-9][0-9]{0,7}")
SHAPE = re.compile(r"(B|T|[1-9][0-9]{0,3})(x(B|T|[1-9][0-9]{0,3}))*x12(:int64)?")
VISITS = {"n_codes": 911, "embed": 32, "hidden": 16, "n_outputs": 2}
COMMANDS = {
    "mlp": ("mlp-baseline", "--steps", "178"),
    "gru": ("gru-baseline", "--steps", "90", "--kwargs", '{"hidden": 12, "n_chans": 3}'),
    "visits": ("visits-baseline", "--lengths", "3,1,4", "--codes", "11"),
    "settings": ("visits-baseline", "--steps", "7", "--kwargs", '{"n_codes": 50, "hidden": 4}'),
    "file": ("ENCODER", "--input", "BxTx12", "--steps", "9", "--kwargs", '{"hidden": 64}'),
    "lengths": ("ENCODER", "--input", "BxTx12", "--lengths", "2..4", "--pad-to", "6"),
}


@cache
def encoder() -> str:
    path = Path(mkdtemp(prefix="fuzz-")) / "encoder.py"
    path.write_text(ENCODER, "utf-8")
    return f"{path}:Encoder"


def lines_of(words: Sequence[str]) -> Files:
    return {FILE: "".join(f"{word}\n" for word in words).encode()}


def words_of(content: bytes) -> list[str]:
    words = content.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")
    return [encoder() if word == "ENCODER" else word for word in words]


def read(folder: Path) -> Any:
    words = words_of((folder / FILE).read_bytes())
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(["cost", *words, "--json"])
        except SystemExit as end:
            if end.code:
                line = (err.getvalue().strip().splitlines() or [""])[-1]
                assert line.startswith("sequela: error: ")
                raise SettingError(line) from None
    try:
        account = json.loads(out.getvalue())
    except ValueError:
        return out.getvalue()[:100]
    return {name: account[name] for name in ("convention", "parameters", "macs")}


def second_account(files: Files) -> Any:
    """Return the numbers of plain arguments: options are given once, each before its value."""
    model, *rest = words_of(files[FILE])
    options = dict(zip(rest[::2], rest[1::2], strict=False))
    if len(options) * 2 != len(rest):
        return None
    try:
        settings = json.loads(options.pop("--kwargs", "{}"))
        if not all(type(value) is int and 0 < value < 10**6 for value in settings.values()):
            return None
        parameters, macs = closed_form(model, settings, options)
    except (ValueError, AttributeError, KeyError):
        return None
    if options or settings:
        return None
    return {"convention": "exact", "parameters": parameters, "macs": macs}


def closed_form(model: str, settings: dict[str, int], options: dict[str, str]) -> tuple[int, int]:
    """Return parameters and MACs, and take the settings and options that they depend on."""
    if model in ("mlp-baseline", "gru-baseline"):
        steps = number(options.pop("--steps", str(settings.get("n_times", 178))))
        settings.pop("n_times", None)
        c, o, h = (
            settings.pop("n_chans", 1),
            settings.pop("n_outputs", 5),
            settings.pop("hidden", 16),
        )
        if model == "mlp-baseline":
            macs = c * steps * h + h * o
            return macs + h + o, macs
        weights = 3 * h * (c + h)
        return weights + 6 * h + h * o + o, steps * weights + h * o
    if model == "visits-baseline":
        lengths = lengths_of(options, 20)
        options.pop("--codes", None)  # the number of codes does not change a dense product
        n, e, h, o = (settings.pop(name, value) for name, value in VISITS.items())
        weights = 3 * h * (e + h)
        macs = sum(lengths) * (n * e + weights) + len(lengths) * h * o
        return n * e + e + weights + 6 * h + h * o + o, macs
    shape, lengths = options.pop("--input"), lengths_of(options, 1)
    slots = number(options.pop("--pad-to", str(max(lengths))))
    if model != encoder() or not SHAPE.fullmatch(shape) or slots < max(lengths):
        raise ValueError(model)
    sizes = {"B": len(lengths), "T": slots}
    rows = math.prod(sizes.get(size) or int(size) for size in shape.split("x")[:-1])  # of any type
    h = settings.pop("hidden", 8)
    return 13 * h, rows * 12 * h


def number(text: str) -> int:
    if not NUMBER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def lengths_of(options: dict[str, str], steps: int) -> list[int]:
    if "--lengths" not in options:
        return [number(options.pop("--steps", str(steps)))]
    text = options.pop("--lengths")
    first, dots, last = text.partition("..")
    if dots:
        return list(range(number(first), number(last) + 1))
    return list(map(number, text.split(",")))


@st.composite
def changed_word(draw: st.DrawFn, content: bytes) -> bytes:
    """Replace an argument, half of the times by a number, or add one."""
    lines = content.splitlines()
    place = draw(st.integers(0, len(lines)))
    word = draw(st.sampled_from(WORDS) | st.sampled_from(NUMBERS))
    lines[place : place + draw(st.integers(0, 1))] = [word.encode()]
    return b"\n".join(lines) + b"\n"


@st.composite
def changed_setting(draw: st.DrawFn, content: bytes) -> bytes:
    """Change or add a value in the JSON of --kwargs."""
    lines = content.splitlines()
    for place, line in enumerate(lines):
        if line.startswith(b'{"'):
            with contextlib.suppress(ValueError):
                value = json.loads(line)
                name = draw(st.sampled_from((*value, *value, "n_times", "x")))
                number = draw(st.sampled_from(LEAVES) | st.integers(-1, 9))
                lines[place] = json.dumps({**value, name: number}).encode()
    return b"\n".join(lines) + b"\n"


def changed(content: bytes) -> st.SearchStrategy[bytes]:
    word, setting = changed_word(content), changed_setting(content)
    return st.sampled_from((word, word, setting, changed_text(content))).flatmap(lambda kind: kind)


CASES = {
    name: Case(partial(lines_of, words), read, changed, second_account)
    for name, words in COMMANDS.items()
}


@pytest.mark.parametrize("name", CASES)
@examples(6)
@given(data=st.data())
def test_changed_arguments(name: str, data: st.DataObject) -> None:
    CASES[name].check(data)


@pytest.mark.parametrize("name", CASES)
def test_arguments_give_the_closed_form(name: str) -> None:
    assert CASES[name].values == second_account(CASES[name].seed())
