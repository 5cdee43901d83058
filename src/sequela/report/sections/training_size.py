"""Runs that were trained on another share of the same data."""

from collections import Counter
from collections.abc import Sequence

from sequela.disclosure import Hidden
from sequela.evaluation.metrics import Metric
from sequela.evaluation.number import number, within
from sequela.report.entry import Entry
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
    for alike in kinds.values():
        shares = Counter(run.settings.fractions for run in alike)
        usual = max(shares, key=lambda share: (shares[share], share))
        first = next(run for run in alike if run.settings.fractions == usual)
        for run in alike:
            same = run.settings.fractions == usual or _judged_on(run) != _judged_on(first)
            (main if same else aside).append(run)
    return main, aside


def _judged_on(run: Run) -> list[list[str]]:
    """Return the hashed ids of the test set of each fold."""
    return [sorted(fold.split.ids[fold.split.group]["held_out"]) for fold in run.runs]


def other_sizes(main: Group, aside: Sequence[Run]) -> str:
    """Return the numbers of models that were trained on another share of the data, in a sentence.

    It names the sizes of the models' training sets, and is empty where there are no such models.
    """
    question, metric = question_of(main.first), main.best.metric
    entries = [Entry(run, main.best.hide_below, main.study) for run in aside]
    comparable = [
        e for e in entries if question_of(e.run) == question and e.leak == main.plain[0].leak
    ]
    sizes = [size for entry in comparable if (size := _size(entry, metric))]
    if not sizes:
        return ""
    return (
        f"{metric.heading} on the same test set after training on other shares of the data: "
        f"{'; '.join(sizes)}."
    )


def _size(entry: Entry, metric: Metric) -> str:
    parts = entry.metrics.parts
    learnt = [parts.train.groups]
    if entry.run.settings.training.refit and entry.is_network:
        learnt.append(parts.tuning.groups)
    value, ci = entry.test.get(metric.key), entry.test.get(f"{metric.key}_ci")
    if any(isinstance(count, Hidden) for count in (*learnt, value)) or value is None or not ci:
        return ""
    score = f"{number(value, metric.form)} {within(ci[0], ci[1], metric.form)}"
    return f"{entry.title} {score} with {sum(learnt):,} {entry.data.unit}s"
