"""All attacks, carried out one after another."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from threadpoolctl import threadpool_limits

from sequela.attacks import judging, recordings, records
from sequela.attacks.attack import Attack, Result, Verdict
from sequela.attacks.bench import Bench

ATTACKS: tuple[Attack, ...] = (*recordings.ATTACKS, *records.ATTACKS, *judging.ATTACKS)

_OF_NOTHING: Mapping[Verdict, Verdict] = {
    "found": "false alarm",
    "blocked": "false alarm",
    "missed": "clean",
}


def attack_all(attacks: Sequence[Attack] = ATTACKS) -> Iterator[Result]:
    """Carry out attacks on copies of the data that ship with the package.

    Args:
        attacks: Which ones.

    Yields:
        What became of each, as soon as it is known.
    """
    with TemporaryDirectory(prefix="sequela-") as work, threadpool_limits(limits=1):
        bench = Bench(Path(work))
        for attack in attacks:
            outcome = attack.carry_out(bench)
            verdict = outcome.verdict if attack.planted else _OF_NOTHING[outcome.verdict]
            yield Result(attack.name, verdict, outcome.by.replace(f"{work}/", ""))
