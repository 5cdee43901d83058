"""The metadata of an exported model: one JSON object in the ONNX file."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveInt, model_validator
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from sequela.cohort.tasks import Task
from sequela.config import SequenceSettings, SignalSettings
from sequela.datasets.catalog import Modality
from sequela.errors import DataError, without_values
from sequela.formats.arrays import Array
from sequela.formats.opened import json_value
from sequela.formats.sealed import is_intact
from sequela.models.reference import Arrays
from sequela.sequences.intervals import Intervals
from sequela.sequences.vocabulary import Vocabulary

KEY = "sequela"
SEAL = "sequela.sha256"


Number = int | FiniteFloat
Positive = Annotated[Number, Field(gt=0)]
Shares = list[list[Annotated[float, Field(ge=0, le=1)]]]


class _Facts(BaseModel):
    """A part of the metadata; entries of other versions are ignored."""

    model_config = ConfigDict(strict=True, frozen=True)


class Scaled(_Facts):
    """Mean and standard deviation of each channel in training."""

    mean: list[FiniteFloat]
    std: list[FiniteFloat]
    unit: str = "µV"


class SignalFacts(_Facts):
    """The input of a model of signals, after the preparation; ``sfreq`` is in Hz."""

    units: ClassVar = "recordings"
    inputs: ClassVar = ("signal", "lengths")
    query: ClassVar = ("sfreq", "unit")
    columns: ClassVar = ("recording",)
    same_time: ClassVar = ", or recorded at the same time"
    of_units: ClassVar = ""
    keyed: ClassVar = False
    unit: Literal["µV"]
    sfreq: Positive
    n_chans: PositiveInt
    n_times: PositiveInt
    scaling: Scaled
    channels: list[str]
    any_length: bool
    preparation: SignalSettings = SignalSettings()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        sizes = {self.n_chans, len(self.scaling.mean), len(self.scaling.std)}
        if len(sizes) > 1 or len(self.channels) not in {0, self.n_chans}:
            raise ValueError("the channels and their scaling differ in number")
        return self


class TrainingStatistics(_Facts):
    """Shares of training patients with the most frequent codes, and means of the examples."""

    codes: dict[str, Number] = {}
    with_measurements: Number | None = None
    steps: Number | None = None


class ChannelStatistics(_Facts):
    """Mean and standard deviation of each measurement in training."""

    mean: list[FiniteFloat]
    deviation: list[FiniteFloat]


class RecordsFacts(_Facts):
    """The input of a model of records.

    It has the settings of sequences, the edges of the bins of measurements, the number of unknown
    codes of each set, the requested tables, and mean and deviation of measured values in training;
    for a table with one row per patient, also the options that describe it.
    """

    units: ClassVar = "patients"
    inputs: ClassVar = ("codes", "lengths", "values", "gaps", "static")
    query: ClassVar = ()
    columns: ClassVar = ()
    same_time: ClassVar = ""
    of_units: ClassVar = " (of {:,} patients)"
    keyed: ClassVar = True
    task: dict[str, object]
    settings: SequenceSettings
    vocabulary: list[str]
    channels: list[str]
    edges: list[list[Number]] | None
    unknown: dict[str, dict[str, Number]]
    tables: list[str]
    training: TrainingStatistics
    values: ChannelStatistics | None
    rows: Mapping[str, object] = {}

    @property
    def words(self) -> Vocabulary:
        """The vocabulary."""
        return Vocabulary.of(self.model_dump())


class ThresholdFacts(_Facts):
    """A threshold of the second of two classes, with its criterion."""

    value: Number
    chosen_for: str


class ConformalSets(_Facts):
    """The rule of conformal sets: the promised share holds up to the cutoff of the score."""

    score: str
    promised: Annotated[float, Field(ge=0, le=1)]
    cutoff: Number | None


class Calibration(_Facts):
    """The calibration on the validation set; the probabilities themselves are not recalibrated.

    Logarithms of the probabilities are divided by the temperature. Times to an event have neither.
    """

    temperature: Positive
    conformal: ConformalSets | None


class ProbabilityShares(_Facts):
    """Probabilities predicted on the test set: for each class ends of bins and shares in them."""

    ends: Shares
    shares: Shares


class Fingerprint(_Facts):
    """The marks of the training and validation set, by which copies are recognised.

    ``key`` is the name of the key of their codes.
    """

    sha256: str
    key: str
    marks: dict[str, object] | None
    seen: list[Annotated[int, Field(ge=0)]]


class TrainingFacts(_Facts):
    """The data of the training, and the number of examples of each set."""

    name: str
    title: str
    licence: str
    citation: str
    origin: str
    examples: dict[str, int]


class Run(_Facts):
    """The SHA-256 of the run (the seal of its manifest), of its data, and of its model."""

    sha256: str
    data_sha256: str
    model_sha256: str


class ModelFacts(_Facts):
    """The metadata, in the order of the file.

    Attributes:
        sequela: The version that wrote it.
        internal: A warning if the vocabulary has codes of fewer than 10 training subjects.
        model: Its name; ``title`` is its name for people.
        reads: Its inputs.
        classes: Names, in the order of the probabilities.
        horizons: The days that end the intervals of the classes, for times to an event.
        question: The predicted outcome.
        features: The fitted featurisers of records, as safetensors in base64.
        answers: ``None`` for a small test set.
        cost: ``parameters``; ``operations`` and ``macs`` of one example by the convention
            ``exact``, ``None`` for a baseline model; ``train_seconds``.
        intended_use: In words.
    """

    sequela: str = ""
    internal: str | None = None
    model: str
    title: str
    kind: Annotated[Modality, Field(strict=False)]
    reads: list[str] = []
    classes: Annotated[list[str], Field(min_length=2)]
    horizons: list[Positive] = []
    question: str
    signal: SignalFacts | None = None
    records: RecordsFacts | None = None
    features: dict[str, str]
    answers: ProbabilityShares | None
    thresholds: list[ThresholdFacts]
    calibration: Calibration
    training: TrainingFacts
    cost: dict[str, Number | None]
    intended_use: str
    run: Run
    fingerprint: Fingerprint

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is named twice")
        if self.takes is None:
            raise ValueError("the kind of input is not described")
        sides = (self.answers.ends, self.answers.shares) if self.answers else ()
        if any(len(side) != len(self.classes) for side in sides):
            raise ValueError("the distribution of probabilities is of other classes")
        return self

    @property
    def intervals(self) -> Intervals | None:
        """The intervals of the classes, for times to an event."""
        if not self.horizons:
            return None
        return Intervals(tuple(self.horizons), (len(self.classes) - 1) // len(self.horizons))

    @property
    def takes(self) -> Any:
        """The description of its input, with what depends on the kind of that."""
        return getattr(self, self.kind)


def as_text(about: ModelFacts) -> str:
    """Return the metadata as JSON."""
    optional = ("internal", "signal", "records", "horizons")
    empty = {name for name in optional if not getattr(about, name)}
    content = about.model_dump(exclude=empty, exclude_unset=True)
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def check_seal(model: bytes, name: str) -> None:
    """Check that the bytes of a file have sequela's metadata and the SHA-256 of the whole."""
    intact = is_intact(model, SEAL)
    if intact is None:
        raise DataError(
            f"{name}: not an ONNX model, cut short, or without sequela's metadata: expected a file "
            "that sequela export wrote; export the run again"
        )
    if not intact:
        raise DataError(
            f"{name}: was edited or damaged after it was exported (its SHA-256 differs): export "
            "the run again"
        )


def read(metadata: Mapping[str, str], name: str) -> Mapping[str, Any]:
    """Read the metadata of a sealed model."""
    try:
        about = json_value(metadata[KEY])
        facts = ModelFacts.model_validate(about)
        if facts.records:
            Task.from_dict(facts.records.task)
            for text in facts.features.values():
                unpacked(text)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{name}: its metadata are damaged or of another version ({without_values(error)}); "
            "export the run again"
        ) from error
    content: Mapping[str, Any] = about
    return content


def packed(state: Arrays) -> str:
    """Write arrays as text."""
    arrays = {name: np.ascontiguousarray(array) for name, array in state.items()}
    return b64encode(safetensors.save(arrays)).decode()


def unpacked(text: str) -> dict[str, Array]:
    """Read the arrays of a text."""
    try:
        arrays: dict[str, Array] = safetensors.load(b64decode(text, validate=True))
    except (ValueError, SafetensorError) as error:
        raise DataError(f"the fitted featurisers are damaged ({error})") from error
    return arrays
