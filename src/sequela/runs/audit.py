"""The leak audit of a run: detection of causes that inflate its numbers."""

import joblib
import numpy as np

from sequela.audit import overlaps
from sequela.audit.finding import Finding
from sequela.identity.pseudonyms import own
from sequela.runs.data import Examples
from sequela.sequences.leaks import in_parts

_FOUND: dict[str, list[Finding]] = {}


def audit_once(data: Examples) -> list[Finding]:
    """Return the findings of :func:`audit`, run once in a process for the same data and sets.

    Runs of a study differ in the model, which the audit does not read.
    """
    facts = (data.digest, data.unit, data.leaks, own().name, data.header, data.ids)
    times = getattr(data.arrays, "step_time", data.part)  # which the digest leaves out
    key = joblib.hash((facts, data.part, times, data.groups, data.marked))
    if key not in _FOUND:
        _FOUND[key] = audit(data)
    return _FOUND[key]


def audit(data: Examples) -> list[Finding]:
    """Run all checks that fit the data; an empty list means that nothing was found.

    The sets must share no subject or recording, also under other names, and no identical or nearly
    identical example. Each set must have each class. No column, code or small model may reveal the
    class. Scaling and vocabulary must come from the training set, and inputs must be available at
    prediction time.
    """
    labels, classes = data.labels, data.classes
    if (times := data.times) is not None:
        seen = (times.event == 1) & (times.time <= times.intervals.horizons[-1])
        labels, classes = seen.astype(np.int64), ("no event", "the event")
    return [
        *data.leaks,
        *overlaps.overlapping_groups(in_parts(data.part, data.groups), data.unit),
        *overlaps.same_content(
            data.content,
            {name: own().distinct(ids) for name, ids in in_parts(data.part, data.marked).items()},
            "subject" if data.unit == "site" else data.unit,
        ),
        *overlaps.one_class(in_parts(data.part, labels), classes),
        *data.find_leaks(),
    ]


def looked_for(data: Examples) -> str:
    """Return what the audit looks for in such data, in words."""
    return (
        f"{data.unit}s in two sets, under one name or two, sets with one class, {data.looked_for}"
    )
