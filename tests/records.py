"""Records of a run that have only some of their values, and label files."""

from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from meds.schema import LabelSchema

from sequela.formats import sealed
from sequela.runs.record import Record, SequencesRecord, Steps

R = TypeVar("R", bound=Record)


def part_of(kind: type[R], **values: Any) -> R:
    """A record with these values, which are not checked."""
    return kind.model_construct(**values).in_order(values)


def sequences_of(share_of_one: float) -> SequencesRecord:
    """Sequences of which a share has one step."""
    steps = part_of(Steps, share_of_one=share_of_one)
    return part_of(SequencesRecord, steps_distribution=steps)


def write_labels(labels: pa.Table, path: Path) -> None:
    """Write a sealed label file in the schema of MEDS."""
    sealed.write(LabelSchema.align(labels), path)
