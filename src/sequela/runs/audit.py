"""The leak audit of a run: detection of causes that inflate its numbers."""

from sequela.cohort import overlaps
from sequela.cohort.finding import Finding
from sequela.cohort.pseudonyms import own
from sequela.runs.data import RunData
from sequela.sequences.leaks import in_parts


def audit(data: RunData) -> list[Finding]:
    """Run all checks that fit the data; an empty list means that nothing was found.

    The sets must share no subject or recording, also under other names, and no identical or nearly
    identical example. Each set must have each class. No column, code or small model may reveal the
    class. Scaling and vocabulary must come from the training set, and inputs must be available at
    prediction time.
    """
    return [
        *data.leaks,
        *overlaps.overlapping_groups(in_parts(data.part, data.groups), data.unit),
        *overlaps.same_content(
            data.content,
            {name: own().distinct(ids) for name, ids in in_parts(data.part, data.marked).items()},
            "subject" if data.unit == "site" else data.unit,
        ),
        *overlaps.one_class(in_parts(data.part, data.labels), data.classes),
        *data.find_leaks(),
    ]


def looked_for(data: RunData) -> str:
    """Return what the audit looks for in such data, in words."""
    return (
        f"{data.unit}s in two sets, under one name or two, sets with one class, {data.LOOKED_FOR}"
    )
