"""Runs that were trained on less or more of the same data: the effect of the training size."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sequela.disclosure.disclosure import Hidden
from sequela.figures.training_size import training_size
from sequela.report.entry import Entry
from sequela.report.picture import Picture, picture
from sequela.report.sections.group import Group
from sequela.runs.find import Run
from sequela.studies.registry import planned_leak, question_of


def apart(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """Separate the runs that a page compares from runs with another share for training.

    The page compares the share that most runs have; of two, the larger one. Runs of another share
    are separated only if they have the same test set.
    """
    main: list[Run] = []
    aside: list[Run] = []
    kinds: dict[tuple[object, ...], list[Run]] = {}
    for run in runs:
        kinds.setdefault((question_of(run), run.settings.split, planned_leak(run)), []).append(run)
    for some in kinds.values():
        shares = Counter(run.settings.fractions for run in some)
        own = max(shares, key=lambda share: (shares[share], share))
        first = next(run for run in some if run.settings.fractions == own)
        for run in some:
            same = run.settings.fractions == own or _judged_on(run) != _judged_on(first)
            (main if same else aside).append(run)
    return main, aside


def _judged_on(run: Run) -> list[list[str]]:
    """Return the hashed ids of the test set of each fold."""
    return [sorted(each.split.ids[each.split.group]["held_out"]) for each in run.runs]


def curve(main: Group, aside: Sequence[Run]) -> Picture | None:
    """Draw the models that were trained on several sizes; ``None`` where there are none."""
    metric = main.best.metric
    unit = f"{main.data.unit}s"
    question = question_of(main.first)
    others = [Entry(run, main.best.hide_below, main.study) for run in aside]
    same = [e for e in others if question_of(e.run) == question and e.leak == main.plain[0].leak]
    entries = [*main.plain, *same]
    rows = [row for entry in entries if (row := _row(entry, metric.name, metric.key, unit))]
    sizes: dict[str, set[int]] = {}
    for row in rows:
        sizes.setdefault(row["model"], set()).add(row[unit])
    several = [row for row in rows if len(sizes[row["model"]]) > 1]
    if not several:
        return None
    drawn = training_size(several, metric=metric.name, unit=unit)
    caption = f"{metric.heading} on the same test set, by the number of {unit} used for training. "
    caption += "Bars are 95 % intervals."
    return picture(drawn, f"{main.study.name}-training-size", caption)


def _row(entry: Entry, name: str, key: str, unit: str) -> dict[str, Any] | None:
    parts = entry.metrics.parts
    learnt = [parts.train.groups]
    if entry.run.settings.training.refit and entry.is_network:
        learnt.append(parts.tuning.groups)
    value, ci = entry.test.get(key), entry.test.get(f"{key}_ci")
    if any(isinstance(each, Hidden) for each in (*learnt, value)) or value is None or not ci:
        return None
    return {"model": entry.title, unit: sum(learnt), name: value, "low": ci[0], "high": ci[1]}
