"""The record of a run: ``metrics.json`` and ``folds.json``, read once when a folder is opened.

Their values are checked against the predictions: see :mod:`sequela.integrity.verify`.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from annotated_types import Len
from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from sequela.errors import RunError
from sequela.evaluation.metrics import METRICS

_BOUNDS = TypeAdapter[object](Annotated[list[float | None], Len(2, 2)] | None)  # of an interval
_NUMBER = TypeAdapter[object](float | None)
_BESIDE = {"_ci": _BOUNDS, "_folds": TypeAdapter[object](int | None)}


def _as_written(value: object, check: ValidatorFunctionWrapHandler) -> object:
    # Pydantic would make 3.0 of 3, and the file would no longer be equal byte for byte.
    check(value)
    return value


Number = Annotated[float, WrapValidator(_as_written)]
"""A number that stays an integer if it is written as one."""


class Record(BaseModel, Mapping[str, Any]):
    """A JSON object of a run.

    Values that every version knows are attributes. All values are found by name too, in the order
    of the file: metrics, which a user may add, and what a newer version wrote. Optional values
    that an earlier version did not write have their defaults as attributes, but are not in it.

    Where :mod:`sequela.runs.released` made it, a number may be hidden.
    """

    # Strict, since "1" for 1 means that another program wrote the file; further keys are metrics.
    model_config = ConfigDict(strict=True, extra="allow")
    _names: tuple[str, ...] = ()  # in the order of the file; fields have another order

    @model_validator(mode="wrap")
    @classmethod
    def _in_order(
        cls, content: Mapping[str, object], read: ModelWrapValidatorHandler[Self]
    ) -> Self:
        return read(content).in_order(content)

    @classmethod
    def of(cls, path: Path, content: Mapping[str, object]) -> Self:
        """Return the record of a file, or raise a RunError for a missing or wrong value."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise RunError(
                f"{path}: damaged ({where}: {first['msg'].splitlines()[0]}); put the original "
                "back, or train again"
            ) from error

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        return self.__dict__[name] if name in self.__dict__ else (self.model_extra or {})[name]

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    __eq__ = Mapping.__eq__  # pydantic would compare types, and a stored record may be a dict
    __hash__ = None  # type: ignore[assignment]

    def replace(self, **values: object) -> Self:
        """Return a copy with other values, which are not checked."""
        return self.model_copy(update=values).in_order([*self._names, *values])

    def in_order(self, names: Iterable[str]) -> Self:
        """Set the names of the values in the file."""
        self._names = tuple(dict.fromkeys(names))
        return self


class IntervalRecord(Record):
    """The method of the intervals."""

    level: float  # such as 0.95
    method: str
    resamples: int
    groups: int


class _MetricsRecord(Record):
    """Numbers by the keys of their metrics, each with its interval and its number of folds."""

    @model_validator(mode="after")
    def _check_measures(self) -> Self:
        kinds = {metric.key: _NUMBER for metric in METRICS.values()} | _BESIDE
        for name, value in (self.model_extra or {}).items():
            kind = kinds.get(name) or kinds.get(f"_{name.rpartition('_')[2]}")
            try:
                if kind is not None:
                    kind.validate_python(value, strict=True)
            except ValidationError as error:
                message = error.errors(include_url=False, include_input=False)[0]["msg"]
                raise ValueError(f"{name}: {message}") from error
        return self


class Point(_MetricsRecord):
    """The rates at a threshold; those of several models are means."""

    threshold: Number  # of the probability
    chosen_for: str
    confusion: list[list[int]]


class Horizon(_MetricsRecord):
    """The numbers of times to an event by a day."""

    days: Number  # from the prediction
    observed: Number | None
    predicted: Number | None
    auroc: Number | None
    brier: Number | None


class GroupDifference(Record):
    """A metric of the worst group minus that of the best."""

    worst: str
    best: str
    worst_value: Number
    best_value: Number
    difference: Number
    difference_ci: list[Number]
    corrected_p: Number  # for the number of attributes (Holm)


class AttributeDifferences(Record):
    """The groups of an attribute, those that were compared, and the differences by metric."""

    attribute: str
    counts: dict[str, dict[str, int]]
    compared: list[str]
    differences: dict[str, GroupDifference]


class Numbers(_MetricsRecord):
    """The numbers of one set, or their means over folds."""

    examples: int
    groups: int
    recordings: int | None = None
    per_class_recall: list[float | None] = []
    confusion: list[list[int]] = []
    ends: list[int] = []  # of times to an event, see Intervals.ends
    horizons: list[Horizon] = []
    interval: IntervalRecord | None = None
    variance: dict[str, dict[str, float | None]] = {}
    variance_why: dict[str, str] = {}
    operating_points: list[Point] = []
    group_differences: list[AttributeDifferences] = []

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        if not self.ends and not (self.confusion and self.per_class_recall):
            raise ValueError("confusion or per_class_recall is missing")
        return self


class OutcomeRecord(Record):
    """The words for the event that is predicted."""

    label: str
    one: str
    many: str
    rival: str = ""


class PartRecord(Record):
    """The counts of one set of hospital records."""

    examples: int
    subjects: int
    positives: int
    sites: int | None = None


class Steps(Record):
    """The distribution of the number of steps of a sequence."""

    share_of_one: float  # of sequences with one step
    quantiles: dict[str, int]
    most: int  # of the longest sequence


class SequencesRecord(Record):
    """The description of sequences and their vocabulary."""

    settings: dict[str, Any]
    codes: int
    steps: float
    steps_distribution: Steps | None = None
    unknown: dict[str, Any]
    examples_without_events: int
    frequent: list[dict[str, Any]] = []  # codes, by falling number of training subjects


class DataRecord(Record):
    """A run's description of its data."""

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
    open: bool = False
    counts: list[int] = []
    notes: list[str] = []
    positives: int | None = None
    outcome: OutcomeRecord | None = None
    # of recordings
    recordings: int | None = None
    sessions: int | None = None
    channels: list[str] = []
    n_times: int | None = None
    sfreq: Number | None = None  # Hz
    # of hospital records
    sites: int | None = None
    parts: dict[str, PartRecord] = {}
    task: dict[str, Any] | None = None
    horizons: list[Number] = []
    flow: dict[str, Any] | None = None
    sequences: SequencesRecord | None = None


class SplitRecord(Record):
    """The unit of a split and whether such a split leaks; for readers, also how it divides."""

    unit: str
    leaks: bool
    by: str = ""
    whole: str = ""
    times: dict[str, tuple[str, str]] = {}
    seed: int = 0
    fractions: list[Number] = []
    folds: int = 0
    repeats: int = 1
    seeds: int = 1
    n_examples: dict[str, int] = {}
    ids_in_two_parts: dict[str, dict[str, int]] = {}


class Parts(Record):
    """The numbers of each set."""

    train: Numbers
    tuning: Numbers
    held_out: Numbers


class Facts(Record):
    """The cost of a model and its training; earlier versions did not measure one prediction."""

    train_seconds: Number
    epochs: Number
    best_epoch: Number
    parameters: int  # learnt numbers
    operations: int | None
    macs: int | None  # multiply-accumulate operations of one prediction
    inference_us: Number | None = None  # microseconds for one example
    memory_bytes: Number | None = None  # at the peak of one prediction


class UpdateRecord(Record):
    """The level of change of an updated model, the local patients it was chosen on, its effect.

    ``before``, ``after`` and ``everybody`` have a metric, observed over expected events and the
    calibration slope: on the test set before and after the change, and before it for all new
    patients. See also :class:`sequela.evaluation.recalibration.Choice`.
    """

    level: str
    patients: int
    events: int
    needed: dict[str, int]
    p_values: dict[str, float]
    reversing: list[str] = []
    before: _MetricsRecord
    after: _MetricsRecord
    everybody: _MetricsRecord


class RunRecord(Facts):
    """The content of ``metrics.json``."""

    model: str
    data: DataRecord
    split: SplitRecord
    looked_for: str
    leaks: list[object]
    suspicions: list[object]
    parts: Parts
    update: UpdateRecord | None = None


class FoldsRecord(Record):
    """The content of ``folds.json``."""

    model: str
    folds: int
    repeats: int
    seeds: int
    runs: Annotated[list[object], Len(1)]  # names, which FoldsFolder checks
    train_seconds: Number
    test: Numbers
