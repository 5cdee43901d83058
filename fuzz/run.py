"""Run mutants through parsers and count what should not be.

    python -m fuzz bonn-zip uci-gz --mutants 100000
    python -m fuzz all --mutants 2000
    python -m fuzz bonn-zip --first 4711 --mutants 1     # one mutant again, with its traceback

Four things are faults: a mutant accepted with other values than the oracle allows, an error that is
none of ours (a traceback for the user), an answer later than 10 seconds, and more than 2 GB of
memory. Mutant number n of a parser is the same in every run. The exit status is 1 if there is a
fault.
"""

import argparse
import resource
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from fuzz.parser import Files, Mutant, Parser, mutant_of, same
from fuzz.registry import PARSERS
from sequela.errors import SequelaError, unknown_name

SECONDS = 10
BYTES = 2_000_000_000
SHOWN = 5

REFUSED, KEPT, SAID = "refused", "accepted with the seed's values", "accepted as the text says"
WRONG, FOREIGN = "ACCEPTED WITH OTHER VALUES", "TRACEBACK"
SLOW, LARGE = f"OVER {SECONDS} s", "OVER 2 GB"
FAULTS = (WRONG, FOREIGN, SLOW, LARGE)


class _Late(BaseException):
    """An answer takes too long."""


@dataclass
class Found:
    """What came of the mutants of one parser.

    Attributes:
        parser: Its name.
        counts: Verdict to the number of mutants.
        examples: Of faults: number of the mutant, verdict, what was done, what happened.
        seconds: What all took.
    """

    parser: str
    counts: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[int, str, str, str]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def faults(self) -> int:
        """How many mutants should not be as they are."""
        return sum(self.counts[name] for name in FAULTS)


def fuzz(parser: Parser, mutants: int, first: int = 0) -> Found:
    """Run mutants ``first``, ``first`` + 1... of a parser."""
    found = Found(parser.name)
    seeds = parser.seeds()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        values = [_read_seed(parser, seed.pack(seed.plain), folder) for seed in seeds]
        began = time.perf_counter()
        for number in range(first, first + mutants):
            rng = Random(f"{parser.name} {number}")
            index = rng.randrange(len(seeds))
            mutant = mutant_of(parser, seeds[index], rng)
            verdict, why = _judge(parser, mutant, values[index], folder)
            found.counts[verdict] += 1
            if verdict in FAULTS:
                found.examples.append((number, verdict, mutant.how, why))
        found.seconds = time.perf_counter() - began
    return found


def _read_seed(parser: Parser, files: Files, folder: Path) -> Any:
    with _laid(files, folder):
        return parser.read(folder)


def _judge(parser: Parser, mutant: Mutant, value: Any, folder: Path) -> tuple[str, str]:
    before, began = _peak(), time.perf_counter()
    with _laid(mutant.files, folder):
        try:
            with _alarm():
                read = parser.read(folder)
            verdict, why = _accepted(parser, mutant, value, read)
        except SequelaError as error:
            verdict, why = REFUSED, str(error)
            if not why or "\n" in why.strip():
                verdict, why = FOREIGN, f"the error is not one line: {why!r}"
        except _Late:
            verdict, why = SLOW, "stopped"
        except BaseException:  # noqa: BLE001 (whatever it is, a user would see it)
            verdict, why = FOREIGN, traceback.format_exc()
    if time.perf_counter() - began > SECONDS:
        verdict = SLOW
    if _peak() - before > BYTES:
        verdict = LARGE
    return verdict, why


def _accepted(parser: Parser, mutant: Mutant, value: Any, read: Any) -> tuple[str, str]:
    if same(read, value):
        return KEPT, ""
    said = parser.says(mutant.plain) if parser.says and mutant.plain is not None else None
    if said is not None and same(read, said):
        return SAID, ""
    return WRONG, f"read {_short(read)}, seed {_short(value)}, text {_short(said)}"


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) < 500 else f"{text[:240]} ... {text[-240:]}"


def _peak() -> int:
    """Bytes that this process held at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def _laid(files: Files, folder: Path) -> Iterator[None]:
    """Files lie in a folder."""
    paths = [folder / name for name in files]
    for path, content in zip(paths, files.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    try:
        yield
    finally:
        for path in paths:
            path.unlink()


@contextmanager
def _alarm() -> Iterator[None]:
    def ring(_: int, __: FrameType | None) -> None:
        raise _Late

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def table(all_found: list[Found]) -> str:
    """The counts as a Markdown table."""
    head = ("parser", "mutants", "refused", "same values", "as said", *map(str.lower, FAULTS))
    rows = [head, tuple("---" for _ in head)]
    for each in all_found:
        numbers = [each.counts[name] for name in (REFUSED, KEPT, SAID, *FAULTS)]
        rows.append((each.parser, *(f"{n:,}" for n in (each.counts.total(), *numbers))))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="+", help=f"all, or of: {', '.join(PARSERS)}")
    parser.add_argument("--mutants", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    given = parser.parse_args(arguments)
    names = list(PARSERS) if given.names == ["all"] else given.names
    for name in names:
        if name not in PARSERS:
            parser.error(str(unknown_name("parser", name, PARSERS)))
    all_found = []
    for name in names:
        found = fuzz(PARSERS[name], given.mutants, given.first)
        all_found.append(found)
        counts = ", ".join(f"{n:,} {verdict}" for verdict, n in sorted(found.counts.items()))
        print(f"{name}: {given.mutants:,} mutants in {found.seconds:.0f} s: {counts}", flush=True)
        for number, verdict, how, why in _different(found.examples):
            print(f"  --first {number}: {verdict} ({how})\n    {why.strip()}", flush=True)
    print(table(all_found))
    return int(any(each.faults for each in all_found))


def _different(
    examples: list[tuple[int, str, str, str]],
) -> list[tuple[int, str, str, str]]:
    """A few faults that are not alike."""
    kinds: dict[tuple[str, str], tuple[int, str, str, str]] = {}
    for each in examples:
        _, verdict, how, why = each
        kind = why.strip().splitlines()[-1][:40] if verdict == FOREIGN else how.split(": ")[-1]
        kinds.setdefault((verdict, kind), each)
    return list(kinds.values())[:SHOWN]
