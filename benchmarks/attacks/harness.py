"""The runner that carries out all attacks one after another."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.attacks import by_class, foreign, judging, recordings, records, tables, unseen
from benchmarks.attacks.attack import Attack, Result, Verdict
from benchmarks.attacks.bench import Bench
from threadpoolctl import threadpool_limits

from sequela.files import temporary
from sequela.integrity.openings import LEDGER, VARIABLE

ATTACKS: tuple[Attack, ...] = (
    *recordings.ATTACKS,
    *records.ATTACKS,
    *tables.ATTACKS,
    *judging.ATTACKS,
    *foreign.ATTACKS,
    *by_class.ATTACKS,
    *unseen.ATTACKS,
)

_OF_NOTHING: Mapping[Verdict, Verdict] = {
    "found": "false alarm",
    "blocked": "false alarm",
    "missed": "clean",
}


@contextmanager
def _ledger_in(work: Path) -> Iterator[None]:
    """Keep the evaluations of attacks out of the user's ledger."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(work / LEDGER)
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        if before is not None:
            os.environ[VARIABLE] = before


def attack_all(attacks: Sequence[Attack] = ATTACKS) -> Iterator[Result]:
    """Carry out attacks on copies of the data that ship with the package.

    Args:
        attacks: The attacks to carry out.

    Yields:
        The outcome of each attack, as soon as it is known.
    """
    with (
        temporary() as work,
        _ledger_in(work),
        threadpool_limits(limits=1),
    ):
        bench = Bench(work)
        for attack in attacks:
            outcome = attack.carry_out(bench)
            verdict = outcome.verdict if attack.planted else _OF_NOTHING[outcome.verdict]
            yield Result(attack.name, verdict, outcome.by.replace(f"{work}/", ""))
