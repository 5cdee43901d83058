"""What recordings of the same time are worth: sessions held out, against a control.

Five folds hold out whole sessions of Bonn. In the control, recordings are dealt anew to groups of
the same sizes and classes, so that models learn from as many recordings, in groups of the same
sizes, but recordings of one session stand on both sides. Each deal has other folds (and, in the
control, other groups); nothing else differs. Prints the accuracy of each model by session and in
the control, mean and range over the deals, and their paired difference on the same segments:

    python benchmarks/sessions.py --out sessions --deals 5
    python benchmarks/sessions.py --out sessions --deals 2 --models spectral-mlp mlp-improved

Interrupted, the command goes on where it was.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from sequela.datasets.recordings import Recording
from sequela.evaluation.comparison import paired_difference
from sequela.evaluation.metrics import statistic_of
from sequela.evaluation.predictions import Predictions, joined
from sequela.runs.folds import FoldsFolder
from sequela.runs.pool import PlannedRun
from sequela.runs.recipe import bootstrap_of
from sequela.signals import bonn
from sequela.studies.settings import run_settings

MODELS = ("spectral-logistic-regression", "spectral-boosting")
FOLDS = 5
with_sessions = bonn.with_sessions


def shuffled(recordings: Sequence[Recording], seed: int) -> list[Recording]:
    """The recordings, their sessions dealt anew among those of their class."""
    rng = np.random.default_rng(seed)
    known = with_sessions(recordings)
    label = np.array([each.label for each in known])
    session = np.array([each.session_id for each in known])
    for one in np.unique(label):
        session[label == one] = rng.permutation(session[label == one])
    return [replace(each, session_id=str(name)) for each, name in zip(known, session, strict=True)]


def tested(model: str, deal: int, out: Path, *, control: bool) -> Predictions:
    """Predictions of all test sets of five folds."""
    settings = run_settings(model, "bonn", records={}, training={})
    settings = settings.model_copy(update={"seed": deal})
    name = f"{model}-{'control' if control else 'session'}-{deal}"
    planned = PlannedRun(out / name, settings, FOLDS)
    dealt = (lambda some: shuffled(some, deal)) if control else with_sessions
    with patch.object(bonn, "with_sessions", dealt):
        planned.train(resume=True)
    return joined([run.predictions.part("held_out") for run in FoldsFolder(planned.path).once])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("sessions"))
    parser.add_argument("--deals", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=MODELS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | deals | by session | control | control minus session (95 %), each deal |")
    print("|---|---:|---|---|---|")
    for model in given.models:
        values: dict[bool, list[float]] = {False: [], True: []}
        differences = []
        for deal in range(given.deals):
            both = {side: tested(model, deal, given.out, control=side) for side in values}
            for side, predictions in both.items():
                values[side].append(float(statistic_of("accuracy", predictions).estimate))
            first = FoldsFolder(given.out / f"{model}-session-{deal}").first
            ours, theirs = (each.where(np.argsort(each.example_id)) for each in both.values())
            # Both are resampled over the real sessions.
            control = replace(theirs, group_id=ours.group_id)
            rng = np.random.default_rng(deal)
            apart = paired_difference("accuracy", control, ours, rng, bootstrap_of(first))
            differences.append((apart.value, apart.interval.low, apart.interval.high))
        cells = [
            f"{np.mean(some):.1%} ({min(some):.1%} to {max(some):.1%})" for some in values.values()
        ]
        apart_ = "; ".join(f"{v:+.1%} ({low:+.1%} to {high:+.1%})" for v, low, high in differences)
        print(f"| `{model}` | {given.deals} | {' | '.join(cells)} | {apart_} |", flush=True)


if __name__ == "__main__":
    main()
