"""The publishable view of a run: its numbers without small counts of people.

A run folder has exact numbers and must not be published. All pages, cards and tables read the run
through :class:`Released`.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sequela.config import SMALLEST_CELL
from sequela.evaluation.disclosure import (
    HIDDEN,
    apply,
    hidden_cells,
    in_words,
    is_small,
    shown,
    without_codes_of_few,
)
from sequela.evaluation.metrics import METRICS
from sequela.runs.find import Run
from sequela.sources import catalog
from sequela.training.history import History

_RATES = ("sensitivity", "specificity", "precision", "negative_value", "f1", "alarm_rate")


@dataclass(frozen=True)
class Released:
    """The publishable view of a run; other attributes are those of the run.

    Attributes:
        run: A finished run, or folds.
        smallest: The smallest count of people that is shown.
    """

    run: Run
    smallest: int = SMALLEST_CELL

    def __getattr__(self, name: str) -> Any:
        return getattr(self.run, name)

    @cached_property
    def data(self) -> dict[str, Any]:
        """The run's description of its data."""
        return released_data(self.run.data, self.smallest)

    @cached_property
    def test(self) -> dict[str, Any]:
        """The numbers of the test set."""
        return released_numbers(self.run.test, self.run.data, self.smallest)

    @cached_property
    def tuning(self) -> dict[str, Any]:
        """The numbers of the validation set."""
        return released_numbers(self.run.tuning, self.run.data, self.smallest)

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """All numbers of the run, or of the first fold."""
        found = self.run.metrics
        return found | {
            "data": released_data(found["data"], self.smallest),
            "parts": {
                name: released_numbers(part, found["data"], self.smallest)
                for name, part in found["parts"].items()
            },
            **{
                kind: released_findings(found[kind], found["data"], self.smallest)
                for kind in ("leaks", "suspicions")
            },
        }

    @cached_property
    def history(self) -> History:
        """The epochs of the run, or of the first fold.

        Metrics are removed if an accuracy reveals that the model is right or wrong for few people.
        """
        run = self.run.first
        counts = {name: part["examples"] for name, part in run.metrics["parts"].items()}
        right = [
            (round(each.metrics["accuracy"] * counts[each.part]), counts[each.part])
            for each in run.history
            if "accuracy" in each.metrics and each.part in counts
        ]
        few = any(
            is_small(n, self.smallest) or is_small(total - n, self.smallest) for n, total in right
        )
        if not few or not of_people(run.data):
            return run.history
        return [replace(each, metrics={}) for each in run.history]

    @property
    def traces(self) -> dict[str, Any]:
        """A recorded example of each class; empty for signals of identified people."""
        found: dict[str, Any] = self.run.traces
        return {} if of_people(self.run.data) and self.smallest > 1 else found

    @property
    def of_few(self) -> bool:
        """``True`` if a class has too few people in the test set to show its frequency."""
        numbers, data = self.run.test, self.run.data
        counts = [sum(row) for row in numbers["confusion"]]
        return of_people(data) and any(is_small(count, self.smallest) for count in counts)


def of_people(data: Mapping[str, Any]) -> bool:
    """Return ``True`` if counts of examples are counts of people.

    They are not for published recordings of unidentified people.
    """
    listed = catalog.DATA_SETS.get(data["name"])
    published = bool(listed and listed.citation)
    return "recordings" not in data or data.get("subjects") is not None or not published


def least_named(data: Mapping[str, Any]) -> int | None:
    """Return the smallest number of training subjects of a code in the vocabulary.

    It is ``None`` for data without codes of people.
    """
    sequences = data.get("sequences") or {}
    if not of_people(data) or "frequent" not in sequences:
        return None
    found: int = sequences["settings"]["min_subjects"]
    return found


def released_data(data: Mapping[str, Any], smallest: int) -> dict[str, Any]:
    """Return a run's description of its data, without small counts and paths of the machine."""
    found = copy.deepcopy(dict(data))
    found["origin"] = public(found["origin"])
    if not of_people(data):
        return found
    for name in ("subjects", "recordings", "examples"):
        if found.get(name) is not None:
            found[name] = shown(found[name], smallest)
    if "notes" in found:
        found["notes"] = [in_words(note, smallest) for note in found["notes"]]
    if "counts" in found:
        found["counts"] = apply(found["counts"], hidden_cells(found["counts"], smallest))
    if "positives" in found:
        negatives = data["examples"] - data["positives"]
        small = is_small(data["positives"], smallest) or is_small(negatives, smallest)
        found["positives"] = HIDDEN if small else data["positives"]
    if "parts" in found:
        _hide_parts(found["parts"], smallest)
    if "flow" in found:
        found["flow"] = released_flow(data["flow"], smallest)
    if "sequences" in found:
        _hide_sequences(found["sequences"], smallest)
    return found


def _hide_parts(parts: dict[str, dict[str, Any]], smallest: int) -> None:
    """Hide small counts of the sets, and others that would reveal them by subtraction."""
    exact = [dict(part) for part in parts.values()]
    for name in ("examples", "subjects", "positives"):
        counts = [part[name] for part in exact]
        classes = [(part["positives"], part["examples"] - part["positives"]) for part in exact]
        hide = hidden_cells(np.array(classes) if name == "positives" else counts, smallest)
        for part, count in zip(parts.values(), apply(counts, hide), strict=True):
            part[name] = count


def released_flow(flow: Mapping[str, Any], smallest: int) -> dict[str, Any]:
    """Return the cohort flow (:meth:`sequela.cohort.flow.Flow.to_dict`) without small counts.

    The remaining counts between two hidden steps are hidden too. If the sum of all removed counts
    is small, the number of candidates is hidden too.
    """
    steps = [dict(step) for step in flow["steps"]]
    removed = [step["removed"] for step in steps]
    hide = hidden_cells(removed, smallest).tolist()
    unknown = is_small(sum(removed), smallest)  # hides the number of candidates too
    last = max((place for place, out in enumerate(hide) if out), default=-1)
    within = unknown
    for place, step in enumerate(steps):
        exact = dict(step)
        within |= hide[place]
        step["removed"] = HIDDEN if hide[place] else exact["removed"]
        step["left"] = HIDDEN if within and place < last else exact["left"]
        apart = (exact["positives"], exact["removed"] - exact["positives"])
        if hide[place] or any(is_small(each, smallest) for each in apart):
            step["positives"] = HIDDEN if exact["removed"] else 0
    negatives = flow["examples"] - flow["positives"]
    small = is_small(flow["positives"], smallest) or is_small(negatives, smallest)
    return {
        **flow,
        "candidates": HIDDEN if unknown else flow["candidates"],
        "steps": steps,
        "examples": shown(flow["examples"], smallest),
        "subjects": shown(flow["subjects"], smallest),
        "positives": HIDDEN if small else flow["positives"],
        "notes": [in_words(note, smallest) for note in flow["notes"]],
    }


def _hide_sequences(sequences: dict[str, Any], smallest: int) -> None:
    """Hide rare codes, small counts of empty examples, and the longest record, of one person."""
    without = sequences["examples_without_events"]
    sequences["examples_without_events"] = shown(without, smallest)
    sequences["frequent"] = [
        row for row in sequences["frequent"] if row["training_subjects"] >= smallest
    ]
    if smallest > 1 and "steps_distribution" in sequences:
        sequences["steps_distribution"]["most"] = HIDDEN


def released_numbers(
    numbers: Mapping[str, Any], data: Mapping[str, Any], smallest: int
) -> dict[str, Any]:
    """Return the numbers of a set, without small counts and numbers computed from them."""
    if not of_people(data):
        return dict(numbers)
    found = {**numbers}
    for name in {"examples", "groups", "recordings"} & found.keys():
        found[name] = shown(numbers[name], smallest)
    if _has_small(numbers["confusion"], smallest):
        found["confusion"] = HIDDEN
        found["per_class_recall"] = [HIDDEN for _ in numbers["per_class_recall"]]
        safe = {metric.key for metric in METRICS.values() if not metric.reveals}
        _hide(
            found,
            [name for name, of in numbers.items() if isinstance(of, float) and name not in safe],
        )
        right = sum(row[place] for place, row in enumerate(numbers["confusion"]))
        wrong = sum(map(sum, numbers["confusion"])) - right
        if is_small(right, smallest) or is_small(wrong, smallest):
            _hide(found, ["accuracy"])
    if numbers.get("recording_accuracy") is not None:
        recordings = numbers.get("recordings", numbers["groups"])
        right = round(recordings * numbers["recording_accuracy"])
        if is_small(right, smallest) or is_small(recordings - right, smallest):
            _hide(found, ["recording_accuracy"])
    if "operating_points" in numbers:
        points = numbers["operating_points"]
        found["operating_points"] = [_released_point(point, smallest) for point in points]
    return found


def _released_point(point: Mapping[str, Any], smallest: int) -> dict[str, Any]:
    """Return the rates at a threshold; a small cell hides all, as any rate would reveal it."""
    found = {**point}
    if _has_small(point["confusion"], smallest):
        found["confusion"] = HIDDEN
        _hide(found, _RATES)
    return found


def _has_small(matrix: Sequence[Sequence[int]], smallest: int) -> bool:
    return any(is_small(count, smallest) for row in matrix for count in row)


def _hide(numbers: dict[str, Any], names: Sequence[str]) -> None:
    """Hide numbers and their intervals."""
    for name in names:
        if name in numbers:
            numbers[name] = HIDDEN
            numbers[f"{name}_ci"] = None


def released_findings(
    findings: Sequence[Mapping[str, Any]], data: Mapping[str, Any], smallest: int
) -> list[dict[str, Any]]:
    """Return the findings of the audit, without small counts and names of rare codes."""
    if not of_people(data) or smallest == 1:
        return [dict(each) for each in findings]
    return [
        {
            **each,
            "what": in_words(each["what"], smallest),
            "where": in_words(without_codes_of_few(each["where"], smallest), smallest),
        }
        for each in findings
    ]


def public(origin: str) -> str:
    """Return the place of the data in words, without paths of the machine."""
    before, under, path = origin.partition(" under ")
    return f"{before} in folder {Path(path).name}" if under else origin
