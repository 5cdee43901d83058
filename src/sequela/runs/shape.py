"""Schemas of ``metrics.json`` and ``folds.json``.

Their values are checked against the predictions: see :mod:`sequela.runs.verify`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from annotated_types import Len
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from sequela.errors import RunError
from sequela.evaluation.metrics import METRICS

_BOUNDS = TypeAdapter[Any](Annotated[list[float | None], Len(2, 2)] | None)
_NUMBER = TypeAdapter[Any](float | None)
_BESIDE = {"_ci": _BOUNDS, "_folds": TypeAdapter[Any](int | None)}


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Interval(_Record):
    level: float
    method: str
    resamples: int
    groups: int


def _look_at_measures(record: Mapping[str, Any]) -> None:
    """Check metrics by key, each with its interval and number of folds."""
    kinds = {metric.key: _NUMBER for metric in METRICS.values()} | _BESIDE
    for name, value in record.items():
        kind = kinds.get(name) or kinds.get(f"_{name.rpartition('_')[2]}")
        try:
            if kind is not None:
                kind.validate_python(value, strict=True)
        except ValidationError as error:
            said = error.errors(include_url=False, include_input=False)[0]["msg"]
            raise ValueError(f"{name}: {said}") from error


class _Numbers(_Record):
    """The numbers of one part, or their means over folds."""

    examples: int
    groups: int
    confusion: list[list[int]]
    per_class_recall: list[float | None]
    interval: _Interval | None = None
    variance: dict[str, dict[str, float | None]] = {}
    variance_why: dict[str, str] = {}
    operating_points: list[dict[str, Any]] = []

    @model_validator(mode="after")
    def _measures(self) -> Self:
        for record in (self.model_extra or {}, *self.operating_points):
            _look_at_measures(record)
        return self


class _Data(_Record):
    name: str
    title: str
    origin: str
    licence: str
    citation: str
    examples: int
    classes: list[str]
    unit: str
    example: str
    question: str
    subjects: int | None
    classes_fixed: bool
    recordings: int | None = None
    n_times: int | None = None
    sfreq: float | None = None
    counts: list[int] = []
    flow: dict[str, Any] | None = None
    sequences: dict[str, Any] | None = None


class _Split(_Record):
    unit: str
    leaks: bool


class _Parts(_Record):
    train: _Numbers
    tuning: _Numbers
    held_out: _Numbers


class _Metrics(_Record):
    model: str
    data: _Data
    split: _Split
    looked_for: str
    leaks: list[Any]
    suspicions: list[Any]
    parameters: int | None
    operations: int | None
    macs: int | None
    train_seconds: float
    epochs: float
    best_epoch: float
    parts: _Parts


class _Folds(_Record):
    model: str
    folds: int
    repeats: int
    seeds: int
    runs: Annotated[list[Any], Len(1)]  # names, which folder_of_run checks
    train_seconds: float
    test: _Numbers


def metrics_of(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Check the content of ``metrics.json``.

    Raises:
        RunError: If a value is missing or has the wrong type.
    """
    return _looked_at(_Metrics, path, record)


def folds_of(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Check the content of ``folds.json``.

    Raises:
        RunError: If a value is missing or has the wrong type.
    """
    return _looked_at(_Folds, path, record)


def _looked_at(shape: type[BaseModel], path: Path, record: dict[str, Any]) -> dict[str, Any]:
    try:
        shape.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise RunError(
            f"{path}: damaged ({where}: {first['msg'].splitlines()[0]}); put the original back, "
            "or train again"
        ) from error
    return record
