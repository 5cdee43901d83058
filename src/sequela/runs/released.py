"""The publishable view of a run: its numbers without small counts of people.

A run folder has exact numbers and must not be published. All pages, cards and tables read the run
through :class:`Released`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from sequela.audit.finding import counted, without_numbers
from sequela.config import RunSettings
from sequela.datasets import catalog
from sequela.disclosure import HIDDEN, apply, as_json, has_small, hidden_cells, is_small, shown
from sequela.evaluation.group_differences import FEWEST
from sequela.evaluation.metrics import METRICS
from sequela.evaluation.number import plural
from sequela.evaluation.planned import Plan
from sequela.evaluation.predictions import Predictions
from sequela.runs.audit import KINDS, sentences
from sequela.runs.find import Run
from sequela.runs.folder import COST
from sequela.runs.record import (
    AttributeDifferences,
    DataRecord,
    Numbers,
    PartRecord,
    Record,
    RunRecord,
    UpdateRecord,
)
from sequela.training.history import History

_NAMES_OF_USERS = ("title", "origin", "run")
"""Keys of names that a user chose: of the data, their folder, and the runs of an ensemble."""
_SHORTEST_ID = 5  # characters from which an id is not in a page by chance
_TOKEN = re.compile(rb"[0-9A-Za-z_@.:+-]+(?:[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?)?")
_WORD = re.compile(rb"[0-9A-Za-z_-]+")
_RATES = ("sensitivity", "specificity", "precision", "negative_value", "f1", "alarm_rate")


@dataclass(frozen=True)
class Released:
    """The publishable view of a run or of folds."""

    run: Run
    hide_below: int | None = None

    @cached_property
    def smallest(self) -> int:
        """The smallest count of people that is shown."""
        return smallest_shown(self.run.data, self.hide_below)

    @property
    def first(self) -> "Released":
        """The publishable view of the first run."""
        return Released(self.run.first, self.hide_below)

    @property
    def settings(self) -> RunSettings:
        """The settings of the run, or of the first fold."""
        return self.run.settings

    @property
    def predictions(self) -> Predictions:
        """The predictions, which contain single people: show only what counts many."""
        return self.run.predictions

    @property
    def plan(self) -> Plan | None:
        """The sample sizes; ``None`` also if they would reveal a small count."""
        plan = self.run.plan
        return None if plan and has_small(plan.cells, self.smallest) else plan

    @cached_property
    def data(self) -> DataRecord:
        """The run's description of its data."""
        return released_data(self.run.data, self.smallest)

    @cached_property
    def test(self) -> Numbers:
        """The numbers of the test set."""
        return released_numbers(self.run.test, self.smallest)

    @cached_property
    def metrics(self) -> RunRecord:
        """All numbers of the run, or of the first fold."""
        record = self.run.metrics
        numbers = {name: released_numbers(p, self.smallest) for name, p in record.parts.items()}
        if record.update:
            record = record.replace(update=self._released_update(record.update))
        return record.replace(
            data=released_data(record.data, self.smallest),
            parts=record.parts.replace(**numbers),
            **{kind: sentences(record[kind], self.smallest) for kind in KINDS},
        )

    def _released_update(self, update: UpdateRecord) -> UpdateRecord:
        parts = self.run.metrics.parts.values()
        counts = [part.ends[1:] or [sum(row) for row in part.confusion] for part in parts]
        update = update.replace(patients=shown(update.patients, self.smallest))
        if has_small(counts, self.smallest):  # which these numbers would help to compute
            return update.replace(events=HIDDEN, before={}, after={}, everybody={})
        return update

    @cached_property
    def history(self) -> History:
        """The epochs of the run, or of the first fold.

        Metrics are removed if an accuracy reveals that the model is right or wrong for few people.
        """
        run = self.run.first
        counts = {name: part.examples for name, part in run.metrics.parts.items()}
        totals = [
            (epoch.metrics["accuracy"], counts[epoch.part])
            for epoch in run.history
            if "accuracy" in epoch.metrics and epoch.part in counts
        ]
        right = [(round(share * total), total) for share, total in totals]  # counts behind shares
        few = has_small([(n, total - n) for n, total in right], self.smallest)
        return [replace(epoch, metrics={}) for epoch in run.history] if few else run.history

    @property
    def of_few(self) -> bool:
        """``True`` if a class has too few people in the test set to show its frequency."""
        test = self.run.test
        # Follow-up that ended before the last horizon reveals no outcome.
        return has_small(test.ends[1:] or [sum(row) for row in test.confusion], self.smallest)


def smallest_shown(data: DataRecord, hide_below: int | None = None) -> int:
    """Return the smallest count of people that is shown, 1 by default and if nobody is counted."""
    return (hide_below if of_people(data) else None) or 1  # 1 shows every count


def of_people(data: DataRecord) -> bool:
    """Return ``False`` for published recordings of unidentified people, else ``True``."""
    listed = catalog.DATA_SETS.get(data.name)
    published = bool(listed and listed.citation)
    return data.recordings is None or data.subjects is not None or not published


def few_named(data: DataRecord, smallest: int) -> str:
    """Return a sentence if the vocabulary may have codes of few training subjects, or nothing."""
    if not (of_people(data) and data.sequences and "frequent" in data.sequences):
        return ""
    least = int(data.sequences.settings["min_subjects"])
    if least >= smallest:
        return ""
    subjects = plural(least, "training subject")
    return (
        f"its vocabulary may name codes of only {subjects}, fewer than {smallest}: train it with "
        f"--min-subjects {smallest}"
    )


def names_people(run: Run, text: bytes) -> bool:
    """Return whether a text has the id of a subject or example among its words."""
    tokens = {token.rstrip(b".:+-@") for token in _TOKEN.findall(text)}
    return not _ids(run).isdisjoint(tokens.union(_WORD.findall(text)))


@lru_cache(maxsize=1)  # each file of a run is searched for them
def _ids(run: Run) -> frozenset[bytes]:
    if not of_people(run.data):
        return frozenset()
    predictions = [folder.predictions for folder in run.runs]
    ids = [np.concatenate([p.example_id, p.subject_id, p.group_id]) for p in predictions]
    distinct = np.unique(np.concatenate(ids)).tolist()
    # A number such as 12345 parameters may also be an id: it is published as the number that it is.
    return frozenset(id_.encode() for id_ in distinct if len(id_) >= _SHORTEST_ID) - _numbers(run)


def _numbers(run: Run) -> set[bytes]:
    records = [run.settings.model_dump(mode="json"), run.environment, run.facts, run.test, run.data]
    cost = [run.first.json(COST)] if (run.first.path / COST).exists() else []
    # Names of users may hold an id on purpose, so their digits excuse no id.
    texts = [
        str(leaf)
        for place, leaf in leaves(as_json([*records, *cost]))
        if place[-1] not in _NAMES_OF_USERS
    ]
    return {number.encode() for number in re.findall(r"\d+", " ".join(texts))}


def leaves(value: object, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield each value of nested objects and lists that is neither, with its keys."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from leaves(entry, (*place, key))
    elif isinstance(value, list):
        for entry in value:
            yield from leaves(entry, place)
    else:
        yield place, value


def released_data(data: DataRecord, smallest: int) -> DataRecord:
    """Return a run's description of its data, without small counts and paths of the machine."""
    shown_values: dict[str, object] = {"origin": public(data.origin)}
    for name in ("subjects", "recordings", "examples"):
        if data.get(name) is not None:
            shown_values[name] = shown(data[name], smallest)
    if data.notes and smallest > 1 and data.name != "signals":  # whose notes count no people
        shown_values["notes"] = [without_numbers(note) for note in data.notes]
    if data.counts:
        shown_values["counts"] = apply(data.counts, hidden_cells(data.counts, smallest))
    if data.positives is not None:
        small = has_small((data.positives, data.examples - data.positives), smallest)
        shown_values["positives"] = HIDDEN if small else data.positives
    if data.parts:
        shown_values["parts"] = _released_parts(data.parts, smallest)
    if data.flow:
        shown_values["flow"] = released_flow(data.flow, smallest)
    if sequences := data.sequences:
        codes = [row for row in sequences.frequent if row["training_subjects"] >= smallest]
        without = shown(sequences.examples_without_events, smallest)
        released = sequences.replace(frequent=codes, examples_without_events=without)
        if smallest > 1 and (steps := sequences.steps_distribution):  # the longest is of one person
            released = released.replace(steps_distribution=steps.replace(most=HIDDEN))
        shown_values["sequences"] = released
    return data.replace(**shown_values)


def _released_parts(parts: Mapping[str, PartRecord], smallest: int) -> dict[str, PartRecord]:
    """Hide small counts of the sets, and others that would reveal them by subtraction."""
    shown_parts = dict(parts)
    for name in ("examples", "subjects", "positives"):
        counts = [part[name] for part in parts.values()]
        classes = [(part.positives, part.examples - part.positives) for part in parts.values()]
        # A total minus the other sets gives a hidden count, so a second one is hidden too.
        hide = hidden_cells(np.array(classes) if name == "positives" else counts, smallest)
        for part, count in zip(parts, apply(counts, hide), strict=True):
            shown_parts[part] = shown_parts[part].replace(**{name: count})
    return shown_parts


def released_flow(flow: Mapping[str, Any], smallest: int) -> dict[str, Any]:
    """Return the cohort flow (:meth:`sequela.cohort.flow.Flow.to_dict`) without small counts.

    The remaining counts between two hidden steps are hidden too. If the sum of all removed counts
    is small, the number of candidates is hidden too.
    """
    steps = [dict(step) for step in flow["steps"]]
    removed = [step["removed"] for step in steps]
    # One hidden step alone could be computed from the counts before and after it.
    hide = hidden_cells(removed, smallest).tolist()
    unknown = is_small(sum(removed), smallest)  # hides the number of candidates too
    last = max((place for place, out in enumerate(hide) if out), default=-1)
    within = unknown
    for place, step in enumerate(steps):
        exact = dict(step)
        within |= hide[place]  # from the first hidden step on
        step["removed"] = HIDDEN if hide[place] else exact["removed"]
        step["left"] = HIDDEN if within and place < last else exact["left"]
        apart = (exact["positives"], exact["removed"] - exact["positives"])
        if hide[place] or has_small(apart, smallest):
            step["positives"] = HIDDEN if exact["removed"] else 0
    small = has_small((flow["positives"], flow["examples"] - flow["positives"]), smallest)
    return {
        **flow,
        "candidates": HIDDEN if unknown else flow["candidates"],
        "steps": steps,
        "examples": shown(flow["examples"], smallest),
        "subjects": shown(flow["subjects"], smallest),
        "positives": HIDDEN if small else flow["positives"],
        "notes": [_released_note(note, smallest) for note in flow["notes"]],
    }


def _released_note(note: str, smallest: int) -> str:
    """Hide a small count of examples, with which a note may begin."""
    count, _, rest = note.partition(" ")
    return f"{counted(int(count), smallest)} {rest}" if count.isdigit() else note


def released_numbers(numbers: Numbers, smallest: int) -> Numbers:
    """Return the numbers of a set, without small counts and numbers computed from them."""
    counts = [name for name in ("examples", "groups", "recordings") if name in numbers]
    shown_numbers: dict[str, object] = {name: shown(numbers[name], smallest) for name in counts}
    if has_small(numbers.confusion, smallest):
        shown_numbers["confusion"] = HIDDEN
        shown_numbers["per_class_recall"] = [HIDDEN for _ in numbers.per_class_recall]
        safe = {metric.key for metric in METRICS.values() if not metric.reveals}  # of single cells
        revealing = [name for name, value in numbers.items() if isinstance(value, float)]
        shown_numbers |= _hidden(numbers, [name for name in revealing if name not in safe])
        right = sum(row[place] for place, row in enumerate(numbers.confusion))
        if has_small((right, sum(map(sum, numbers.confusion)) - right), smallest):
            shown_numbers |= _hidden(numbers, ["accuracy"])
    if numbers.ends:
        shown_numbers |= _released_times(numbers, smallest)
    if numbers.get("recording_accuracy") is not None:
        recordings = numbers.get("recordings", numbers.groups)
        right = round(recordings * numbers["recording_accuracy"])
        if has_small((right, recordings - right), smallest):
            shown_numbers |= _hidden(numbers, ["recording_accuracy"])
    if points := numbers.operating_points:
        shown_numbers["operating_points"] = [  # a small cell hides all, as any rate would reveal it
            point.replace(confusion=HIDDEN, **_hidden(point, _RATES))
            if has_small(point.confusion, smallest)
            else point
            for point in points
        ]
    if smallest > 1 and (records := numbers.group_differences):
        shown_numbers["group_differences"] = [_released_groups(r, smallest) for r in records]
    return numbers.replace(**shown_numbers)


def _released_groups(record: AttributeDifferences, smallest: int) -> AttributeDifferences:
    """Remove hidden groups, and differences of numbers that would reveal a count of theirs."""
    counts = np.array([[*count.values()] for count in record.counts.values()])
    hidden = set(compress(record.counts, hidden_cells(counts, smallest)))
    safe = dict(record.differences) if smallest <= FEWEST else {}  # else small groups were compared
    if hidden:
        safe = {name: safe[name] for name in safe if name not in ("o_e", "alarm_rate")}
    shown_counts = {name: count for name, count in record.counts.items() if name not in hidden}
    compared = [name for name in record.compared if name not in hidden]
    return record.replace(counts=shown_counts, compared=compared, differences=safe)


def _released_times(numbers: Numbers, smallest: int) -> dict[str, object]:
    """Hide small counts of events, and the shares by a day that would reveal them."""
    ends = [shown(count, smallest) for count in numbers.ends]
    if has_small(numbers.ends[1:], smallest):
        return {"ends": [HIDDEN for _ in numbers.ends], "horizons": []}  # curves give counts away
    few = [
        is_small(round((at.observed or 0) * numbers.examples), smallest) for at in numbers.horizons
    ]
    return {
        "ends": ends,
        "horizons": [
            at.replace(**_hidden(at, ["observed", "brier"])) if hide else at
            for at, hide in zip(numbers.horizons, few, strict=True)
        ],
    }


def _hidden(numbers: Record, names: Sequence[str]) -> dict[str, object]:
    present = [name for name in names if name in numbers]
    return {**dict.fromkeys(present, HIDDEN), **{f"{name}_ci": None for name in present}}


def public(origin: str) -> str:
    """Return the place of the data in words, without paths of the machine."""
    before, under, path = origin.partition(" under ")
    return f"{before} in folder {Path(path).name}" if under else origin
