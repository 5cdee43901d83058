"""Inflation of the score by a leak: the same models with and without it, where both were run."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from sequela.disclosure import Hidden
from sequela.figures.figure import Figure
from sequela.figures.leak import leak
from sequela.report.entry import Entry
from sequela.report.picture import Picture, picture
from sequela.studies.verdicts import Inflation, inflation


@dataclass(frozen=True)
class Planned:
    """A leak that is run on purpose: the words of its section, its picture and its sentences.

    ``leaking`` has for each kind of leak the name of its runs. ``runs`` ends a sentence with the
    runs that leak, and ``adds`` begins one with the leak ``{leak}``.
    """

    heading: str
    leaking: dict[str, str]
    caption: str
    runs: str
    adds: str


PLANNED = (
    Planned(
        "How much leakage inflates the score",
        {"recording": "by recording", "row": "by row"},
        "{data}: segments of one recording or session are in both the training and the test set.",
        "the runs that are split otherwise, which leak by design",
        "A split {leak}",
    ),
    Planned(
        "How much later information inflates the score",
        {"hindsight": "whole stay"},
        "{data}: the model reads all information until the end of the stay.",
        "the runs that read information from after the prediction, which leak by design",
        "Information from the {leak}",
    ),
)


@dataclass(frozen=True)
class Inflated:
    """A run that leaks, and how much that inflates its score."""

    entry: Entry
    by: Inflation


@dataclass(frozen=True)
class Leak:
    """A leak that was run on purpose, on a page."""

    id: str
    leak_plan: Planned
    picture: Picture
    finding: str


def leaks(honest: Sequence[Entry], leaking: Sequence[Entry]) -> list[Leak]:
    """Return each leak that was run on purpose, with its picture and its inflation of the score."""
    leaks_of_runs = []
    first = honest[0]
    for leak_plan in PLANNED:
        rows = inflations(leak_plan, honest, leaking)
        if not rows:
            continue
        name = next(iter(leak_plan.leaking)) if len(leak_plan.leaking) == 1 else "split"
        key = f"{first.study.name}-leak-{name}" if first.study else name
        caption = leak_plan.caption.format(data=first.data.title)
        drawing = picture(leak_figure(leak_plan, rows), f"{key}-picture", caption)
        leaks_of_runs.append(Leak(key, leak_plan, drawing, _finding(leak_plan, rows)))
    return leaks_of_runs


def inflations(
    leak_plan: Planned, honest: Sequence[Entry], leaking: Sequence[Entry]
) -> list[Inflated]:
    """Compute how much a leak inflates the score of each model that was run with and without it.

    Left out are models whose score is hidden or undefined in one of the two.
    """
    # Each leaking run is compared with the run of the same model that does not leak.
    by_model = {entry.name: entry for entry in _shown(honest)}
    kinds = list(leak_plan.leaking)
    of_plan = [entry for entry in leaking if entry.leak in kinds]
    ordered = sorted(of_plan, key=lambda entry: kinds.index(entry.leak))
    pairs = [
        (e, inflation(by_model[e.name].run, e.run)) for e in _shown(ordered) if e.name in by_model
    ]
    return [Inflated(entry, by) for entry, by in pairs if by]


def _shown(entries: Sequence[Entry]) -> list[Entry]:
    return [e for e in entries if not isinstance(e.test[e.metric.key], Hidden | None)]


def _finding(leak_plan: Planned, rows: Sequence[Inflated]) -> str:
    """Return how much each leak adds, in a sentence, and for how many models significantly."""
    metric, sentences = rows[0].entry.metric, []
    unit = " points" if metric.points else ""
    for leak_, group in groupby(rows, lambda row: row.entry.leak):
        by = [row.by for row in group]
        low, high = (metric.apart(end(inflated.value for inflated in by)) for end in (min, max))
        amount = low if low == high else f"{low} to {high}"
        surely = sum(b.interval[0] > 0 or b.interval[1] < 0 for b in by)
        models = f"for {surely} of {len(by)} models" if len(by) > 1 else "" if surely else "not"
        what = leak_plan.adds.format(leak=leak_plan.leaking[leak_])
        sentences.append(f"{what} adds {amount}{unit}, {f'{models} significantly'.strip()}.")
    return " ".join(sentences)


def leak_figure(leak_plan: Planned, rows: Sequence[Inflated]) -> Figure:
    """Draw the inflation of each model, in comparison with a split that does not leak."""
    rows_of_figure = [
        {
            "model": inflated.entry.title,
            "leak": leak_plan.leaking[inflated.entry.leak],
            "difference": inflated.by.value,
            "low": inflated.by.interval[0],
            "high": inflated.by.interval[1],
        }
        for inflated in rows
    ]
    return leak(rows_of_figure, metric=rows[0].entry.metric.name)
