"""The command line of ``sequela cost``: one argument a line.

What is counted has closed forms for three of our networks and for a class in a file: a second
reading of the arguments, which knows the plain ones only, puts their numbers into these.
"""

import contextlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

from fuzz.mutators import FIELDS, LEAVES, TEXT
from fuzz.parser import Files, Mutator, Parser, Seed
from sequela.cli.app import main
from sequela.errors import SequelaError, SettingError

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
_WORDS = (
    "--input", "--kwargs", "--convention", "--steps", "--lengths", "--pad-to", "--codes",
    "--derive", "--format", "--training", "--optimiser", "--allow-unknown", "--data", "--root",
    "--json", "--", "-1", "auto", "gru-baseline", "visits-baseline", "mlp-baseline", "macs",
    "report-2019", "lengths", "BxT", "Bx12:int64", "1x178", "1..5000", "5..1", "3,,4", "{}",
    '{"hidden": 3}', '{"hidden": 1e9}', '{"n_outputs": 2}', "1" * 30, "9999999", "mathml",
    "markdown", "--no-json",
)  # fmt: skip
_NUMBER = re.compile(r"[+]?0*[1-9][0-9]{0,7}")
_SHAPE = re.compile(r"(B|T|[1-9][0-9]{0,3})(x(B|T|[1-9][0-9]{0,3}))*x12")


@cache
def _encoder() -> str:
    path = Path(mkdtemp(prefix="fuzz-")) / "encoder.py"
    path.write_text(ENCODER, "utf-8")
    return f"{path}:Encoder"


def _seeds() -> list[Seed]:
    commands: tuple[Sequence[str], ...] = (
        ("mlp-baseline", "--steps", "178"),
        ("gru-baseline", "--steps", "90", "--kwargs", '{"hidden": 12, "n_chans": 3}'),
        ("visits-baseline", "--lengths", "3,1,4", "--codes", "11"),
        ("visits-baseline", "--steps", "7", "--kwargs", '{"n_codes": 50, "hidden": 4}'),
        ("ENCODER", "--input", "BxTx12", "--steps", "9", "--kwargs", '{"hidden": 64}'),
        ("ENCODER", "--input", "BxTx12", "--lengths", "2..4", "--pad-to", "6"),
    )
    return [Seed({FILE: "".join(f"{word}\n" for word in each).encode()}) for each in commands]


def _words(content: bytes) -> list[str]:
    found = content.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")
    return [_encoder() if word == "ENCODER" else word for word in found]


def _read(folder: Path) -> Any:
    words = _words((folder / FILE).read_bytes())
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(["cost", *words, "--json"])
        except SystemExit as end:
            if end.code:
                raise _refused(err.getvalue()) from None
    try:
        found = json.loads(out.getvalue())
    except ValueError:
        return out.getvalue()[:100]
    return {name: found[name] for name in ("convention", "parameters", "macs")}


def _refused(said: str) -> SequelaError:
    line = said.strip().splitlines()[-1] if said.strip() else ""
    if not line.startswith("sequela: error: "):
        raise AssertionError(f"refused without a word: {said!r}")
    return SettingError(line)


def _says(files: Files) -> Any:
    """The numbers of plain arguments; an option stands at most once, before its value."""
    model, *rest = _words(files[FILE])
    options = dict(zip(rest[::2], rest[1::2], strict=False))
    if len(rest) % 2 or len(options) * 2 < len(rest):
        return None
    try:
        settings = json.loads(options.pop("--kwargs", "{}"))
        if not all(type(v) is int and 0 < v < 10**6 for v in settings.values()):
            return None
        counted = _counted(model, settings, options)
    except (ValueError, AttributeError, KeyError):
        return None
    return {"convention": "exact", **counted} if counted and not options else None


def _counted(
    model: str, settings: Mapping[str, int], options: dict[str, str]
) -> dict[str, int] | None:
    given = dict(settings)
    if model in ("mlp-baseline", "gru-baseline"):
        steps = _number(options.pop("--steps", str(given.get("n_times", 178))))
        given.pop("n_times", None)
        c, o, h = given.pop("n_chans", 1), given.pop("n_outputs", 5), given.pop("hidden", 16)
        if model == "mlp-baseline":
            macs = c * steps * h + h * o
            numbers = {"parameters": macs + h + o, "macs": macs}
        else:
            weights = 3 * h * (c + h)
            macs = steps * weights + h * o
            numbers = {"parameters": weights + 6 * h + h * o + o, "macs": macs}
    elif model == "visits-baseline":
        lengths = _lengths(options)
        options.pop("--codes", None)  # how many of them are there changes no dense product
        n, e, h, o = (given.pop(k, d) for k, d in _VISITS.items())
        weights = 3 * h * (e + h)
        macs = sum(lengths) * (n * e + weights) + len(lengths) * h * o  # dense, as is said
        numbers = {"parameters": n * e + e + weights + 6 * h + h * o + o, "macs": macs}
    elif model == _encoder():
        shape, lengths = options.pop("--input"), _lengths(options, 1)
        slots = _number(options.pop("--pad-to", str(max(lengths))))
        if not _SHAPE.fullmatch(shape) or slots < max(lengths):
            return None
        sizes = {"B": len(lengths), "T": slots}
        rows = 1
        for size in shape.split("x")[:-1]:
            rows *= sizes.get(size) or int(size)
        h = given.pop("hidden", 8)
        numbers = {"parameters": 13 * h, "macs": rows * 12 * h}
    else:
        return None
    return None if given else numbers


_VISITS = {"n_codes": 911, "embed": 32, "hidden": 16, "n_outputs": 2}


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _lengths(options: dict[str, str], steps: int = 20) -> list[int]:
    if "--lengths" not in options:
        return [_number(options.pop("--steps", str(steps)))]
    first, dots, last = (text := options.pop("--lengths")).partition("..")
    if dots:
        return list(range(_number(first), _number(last) + 1))
    return list(map(_number, text.split(",")))


def word(rng: Random, content: bytes) -> bytes:
    """An argument is another, or stands there in addition."""
    lines = content.splitlines()
    place = rng.randrange(len(lines) + 1)
    lines[place : place + rng.randrange(2)] = [rng.choice((*_WORDS, *FIELDS)).encode()]
    return b"\n".join(lines) + b"\n"


def setting(rng: Random, content: bytes) -> bytes:
    """A value, or the name of one, in the JSON of --kwargs is another."""
    lines = content.splitlines()
    for place, line in enumerate(lines):
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(line)
            if isinstance(value, dict) and value:
                name = rng.choice(sorted(value))
                value[rng.choice((name, name, name, "n_times", "x"))] = rng.choice(LEAVES)
                lines[place] = json.dumps(value).encode()
    return b"\n".join(lines) + b"\n"


_ARGUMENTS: Mapping[str, Mutator] = {
    **TEXT,
    **{f"word {n}": word for n in range(8)},
    **{f"setting {n}": setting for n in range(6)},
}

PARSERS = (Parser("arguments", _seeds, _read, _ARGUMENTS, _says),)
