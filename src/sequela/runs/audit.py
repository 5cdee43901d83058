"""What makes a run's numbers too good: looked for in every run, and said wherever it is shown."""

from sequela.cohort import overlaps
from sequela.cohort.finding import Finding
from sequela.cohort.pseudonyms import own
from sequela.runs.data import RunData
from sequela.sequences.leaks import in_parts


def audit(data: RunData) -> list[Finding]:
    """All checks that fit the data; an empty list means that nothing was found.

    The parts share no subject or recording, under whatever name, and no identical or nearly
    identical example; each class is in each part; no column or code and no small model tells the
    class; scaling and vocabulary are of the training part; nothing that is read was known after the
    prediction.
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
    """What the audit looks for in such data, in words."""
    return (
        f"{data.unit}s in two parts, under one name or two, parts of one class, {data.LOOKED_FOR}"
    )
