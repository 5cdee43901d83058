"""What a leak is worth: the same models with and without it, where both were run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sequela.evaluation.disclosure import Hidden
from sequela.figures.figure import Figure
from sequela.figures.leak import leak
from sequela.report.entry import Entry
from sequela.report.picture import picture


@dataclass(frozen=True)
class Planned:
    """A leak that is run on purpose.

    Attributes:
        heading: Of its section.
        honest: What the picture calls the runs without it; ``{split}`` is their split.
        leaking: What the picture calls those with it.
        caption: What is seen.
        note: What is compared.
        runs: Which runs leak, as the end of a sentence.
    """

    heading: str
    honest: str
    leaking: str
    caption: str
    note: str
    runs: str


PLANNED = {
    "row": Planned(
        "What a leak would add",
        "by {split}",
        "by row (leaks)",
        "{data}: the same models where examples of one recording or subject are in both parts.",
        "A split by row puts examples of one recording or subject into both the training and the "
        "held-out part. The bootstrap interval by row also draws whole recordings or subjects, "
        "but that does not remove the leak.",
        "the runs by row, which leak by design",
    ),
    "hindsight": Planned(
        "What using future information would add",
        "known at prediction",
        "whole stay (leaks)",
        "{data}: the same models where they read what was recorded after the prediction.",
        "Stays, models and split are the same in both. One reads what was known at the time of "
        "prediction, the other all that was recorded until the end of the stay.",
        "the runs that read what was recorded after the prediction, which leak by design",
    ),
}


def leaks(honest: Sequence[Entry], leaking: Sequence[Entry]) -> list[dict[str, Any]]:
    """Each leak that was run on purpose, with its picture."""
    found = []
    for name, planned in PLANNED.items():
        figure = leak_figure(honest, [entry for entry in leaking if entry.leak == name])
        if figure:
            key = f"{honest[0].study.name}-leak-{name}" if honest[0].study else name
            title = honest[0].data["title"]
            drawn = picture(figure, f"{key}-picture", planned.caption.format(data=title))
            found.append({"id": key, "planned": planned, "picture": drawn})
    return found


def leak_figure(honest: Sequence[Entry], leaking: Sequence[Entry]) -> Figure | None:
    """The picture of both settings, for models that were run in both and may be shown in both."""
    metric = honest[0].metric.key
    seen = [
        {entry.name for entry in group if not isinstance(entry.test[metric], Hidden)}
        for group in (honest, leaking)
    ]
    both = seen[0] & seen[1]
    if not both:
        return None
    planned = PLANNED[leaking[0].leak]
    without = planned.honest.format(split=honest[0].run.settings.split)
    rows = [
        {
            "model": entry.title,
            "split": setting,
            metric: entry.test[metric],
            "low": entry.test[f"{metric}_ci"][0],
            "high": entry.test[f"{metric}_ci"][1],
        }
        for setting, group in ((without, honest), (planned.leaking, leaking))
        for entry in group
        if entry.name in both
    ]
    return leak(rows, metric=metric)
