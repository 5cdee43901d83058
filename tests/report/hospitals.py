"""Hospitals whose patients never were, and the run of a model of one of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tests.canaries import called

from sequela.cli.app import main

Write = Callable[..., Path]
HOSPITALS = {"home": (500, 0.3, 1), "away": (260, 0.5, 2), "few": (40, 0.1, 3)}
"""Number of people, share that dies, and seed of each."""


def hospital(write: Write, root: Path, *, people: int, dead: float, seed: int) -> Path:
    """Stays in whose codes death can be seen, in eight hospitals; five people are of a rare sex."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[Any, ...]] = []
    for place in range(people):
        subject, stay = 1_000 * seed + place, 10_000 * seed + place
        day = f"2031-{1 + place % 12:02d}-{1 + place % 27:02d}"
        end = f"2032-{1 + place % 12:02d}-{1 + place % 27:02d}T10:00"
        died = bool(rng.random() < dead)
        sex = "X" if place < 5 else "FM"[place % 2]
        sick = rng.random(20) < (0.35 if died else 0.2)
        rows += [
            (subject, f"{1940 + 5 * seed + place % 40}-04-05T00:00", "MEDS_BIRTH"),
            (subject, None, f"GENDER//{sex}"),
            (subject, f"{day}T01:00", "HOSPITAL_ADMISSION//EMERGENCY", stay),
            (subject, f"{day}T01:00", f"HOSPITAL//h{place % 8}", stay),
            *[(subject, f"{day}T04:00", f"LAB//{code}", stay) for code in np.flatnonzero(sick)],
            *[(subject, f"{day}T05:00", f"ONLY//{seed}", stay)],
            (subject, end, f"HOSPITAL_DISCHARGE//{'DIED' if died else 'HOME'}", stay),
        ]
        rows += [(subject, end, "MEDS_DEATH")] * died
    return write(root, rows)


def trained(root: Path, out: Path, *more: object) -> Path:
    asked = ("--data", "meds", "--root", root, "--task", "in-hospital", "--out", out, *more)
    assert called(main, "train", "logistic-regression", *asked) == 0
    return out
