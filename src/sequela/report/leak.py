"""Inflation of the score by a leak: the same models with and without it, where both were run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sequela.errors import DataError
from sequela.evaluation.comparison import paired_difference
from sequela.evaluation.disclosure import Hidden
from sequela.evaluation.predictions import joined
from sequela.figures.figure import Figure
from sequela.figures.leak import leak
from sequela.report.entry import Entry
from sequela.report.picture import picture
from sequela.runs.recipe import bootstrap_of


@dataclass(frozen=True)
class Planned:
    """A leak that is run on purpose.

    Attributes:
        heading: The heading of its section.
        honest: The name of the runs without it in the picture; ``{split}`` is their split.
        leaking: For each kind of leak, the name of its runs in the picture, which also marks runs
            whose leak the audit found.
        caption: The caption of the picture.
        note: A description of the comparison.
        runs: The runs that leak, as the end of a sentence.
    """

    heading: str
    honest: str
    leaking: dict[str, str]
    caption: str
    note: str
    runs: str


PLANNED = (
    Planned(
        "How much leakage inflates the score",
        "by {split}",
        {"recording": "by recording", "row": "by row"},
        "{data}: the same models with related segments in both the training and the test set.",
        "A split by row puts segments of one recording or subject into both the training and the "
        "test set; a split by recording separates recordings that were made at the same time. The "
        "intervals resample whole {split}s, but that does not remove a leak.",
        "the runs that are split otherwise, which leak by design",
    ),
    Planned(
        "How much later information inflates the score",
        "available at prediction",
        {"hindsight": "whole stay"},
        "{data}: the same models with and without information from after the prediction.",
        "Stays, models and split are the same. One model reads information available at prediction "
        "time, the other all information until the end of the stay.",
        "the runs that read information from after the prediction, which leak by design",
    ),
)


def leaks(honest: Sequence[Entry], leaking: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return each leak that was run on purpose, with its picture and its inflation of the score."""
    found = []
    honest_shown = _shown(honest)
    for planned in PLANNED:
        some = _shown([entry for entry in leaking if entry.leak in planned.leaking])
        figure = leak_figure(planned, honest_shown, some) if honest_shown else None
        if figure:
            name = next(iter(planned.leaking)) if len(planned.leaking) == 1 else "split"
            key = f"{honest[0].study.name}-leak-{name}" if honest[0].study else name
            title, split = honest[0].data["title"], honest[0].run.settings.split
            drawn = picture(figure, f"{key}-picture", planned.caption.format(data=title))
            sentences = [planned.note.format(split=split), *_inflation(planned, honest_shown, some)]
            note = " ".join(sentences)
            found.append({"id": key, "planned": planned, "picture": drawn, "note": note})
    return found


def _shown(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries whose number may be shown."""
    return [entry for entry in entries if not isinstance(entry.test[entry.metric.key], Hidden)]


def _inflation(planned: Planned, honest: Sequence[Entry], leaking: Sequence[Entry]) -> list[str]:
    """Compute how much each split inflates a metric, paired on the test set of the leaking run.

    Skipped are runs without such a difference, and test sets with an example that is in no test
    set of the honest run's folds.
    """
    known = {entry.name: entry for entry in honest if entry.run.settings.folds}
    sentences = []
    for leak_, words in planned.leaking.items():
        said = []
        for entry in leaking:
            if entry.leak != leak_ or entry.name not in known or entry.run.of_many:
                continue
            run, metric = entry.run.first, entry.metric
            test = run.predictions.part("held_out")
            once = known[entry.name].run.once
            others = joined([fold.predictions.part("held_out") for fold in once])
            others = others.where(np.isin(others.example_id, test.example_id))
            if others.n_examples < test.n_examples:
                continue
            rng = np.random.default_rng(run.settings.seed)
            try:
                apart = paired_difference(metric.name, test, others, rng, bootstrap_of(run))
            except DataError:  # such as a test set of one group or one class
                continue
            low, high = (metric.apart(end) for end in (apart.interval.low, apart.interval.high))
            said.append(f"{entry.title} {metric.apart(apart.value)} ({low} to {high})")
        if said:
            unit = "percentage points" if leaking[0].metric.points else leaking[0].metric.title
            apart_ = f"{words.capitalize()} minus {planned.honest} on the same examples"
            sentences.append(f"{apart_}, in {unit}: {'; '.join(said)}.")
    return [each.format(split=honest[0].run.settings.split) for each in sentences]


def leak_figure(
    planned: Planned, honest: Sequence[Entry], leaking: Sequence[Entry]
) -> Figure | None:
    """Draw all settings, for models that were run in two of them."""
    metric = honest[0].metric.key
    without = planned.honest.format(split=honest[0].run.settings.split)
    both = {entry.name for entry in leaking}
    groups = {without: [entry for entry in honest if entry.name in both]}
    names = {entry.name for entry in groups[without]}
    for each, words in planned.leaking.items():
        some = [entry for entry in leaking if entry.leak == each and entry.name in names]
        leak_found = any(run.metrics["leaks"] for entry in some for run in entry.run.runs)
        groups[words + " (leaks)" * leak_found] = some
    rows = [
        {
            "model": entry.title,
            "split": setting,
            metric: entry.test[metric],
            "low": entry.test[f"{metric}_ci"][0],
            "high": entry.test[f"{metric}_ci"][1],
        }
        for setting, group in groups.items()
        for entry in group
    ]
    return leak(rows, metric=metric) if names else None
