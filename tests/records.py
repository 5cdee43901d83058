"""Records of a run that have only some of their values."""

from typing import Any, TypeVar

from sequela.runs.record import Record, SequencesRecord, Steps

R = TypeVar("R", bound=Record)


def part_of(kind: type[R], **values: Any) -> R:
    """A record with these values, which are not checked."""
    return kind.model_construct(**values).in_order(values)


def sequences_of(share_of_one: float) -> SequencesRecord:
    """Sequences of which a share has one step."""
    steps = part_of(Steps, share_of_one=share_of_one)
    return part_of(SequencesRecord, steps_distribution=steps)
