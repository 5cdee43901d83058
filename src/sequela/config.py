"""Frozen settings, checked where they enter: the command line and a run's ``config.toml``."""

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from sequela.errors import RunError, SettingError, unknown_name, without_passwords

SplitUnit = Literal["subject", "session", "recording", "site", "time", "row"]
Aim = Literal["sensitivity", "f1", "cost_ratio", "youden"]
SegmentLength = Literal["recording"] | int  # samples of a segment, or each recording whole

Text = Annotated[str | None, Field(min_length=1)]  # a text that is missing or not empty

SMALLEST_CELL = 10  # people; smaller counts are hidden (disclosure.py)
_PREPARATION = {"reference", "filter", "notch", "reject", "standardise"}

# Key of a field's extra schema: the name of its option where it is not that of the field.
OPTION = "option"
NO_OPTION: dict[str, JsonValue] = {OPTION: ""}

# The aims that need a target, and the largest one.
TARGETS: Mapping[Aim, float] = {"sensitivity": 1.0, "cost_ratio": math.inf}


def check_target(aim: Aim, target: float | None) -> float:
    """Check the target of an aim that needs one."""
    most = TARGETS[aim]
    if target is None or not 0 < target <= most:
        limit = f"above 0, at most {most:g}" if math.isfinite(most) else "above 0"
        raise SettingError(f"the aim '{aim}' has the target {target}: expected a number {limit}")
    return target


class _Settings(BaseModel):
    """Frozen settings; the text below a field is its description, as in the help."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **_: object) -> None:
        for setting in cls.model_fields.values():
            setting.description = " ".join((setting.description or "").split()) or None

    @classmethod
    def of(cls, **values: object) -> Self:
        """Make checked settings."""
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise SettingError(
                f"setting {name} = {first['input']!r} cannot be used: {first['msg']}"
            ) from error

    @property
    def changes(self) -> dict[str, Any]:
        """The settings that were given, by name, even if they are the defaults."""
        fields = type(self).model_fields
        return {name: getattr(self, name) for name in fields if name in self.model_fields_set}


class TrainingSettings(_Settings):
    """The settings of training; see ``sequela.training.fit``."""

    epochs: int = Field(default=60, ge=1)
    """Train for at most this many epochs."""
    patience: int = Field(default=15, ge=1)
    """Stop after this many epochs without a lower loss on the validation set."""
    batch_size: int = Field(default=64, ge=1)
    """Batch size."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Learning rate of Adam; with a schedule, its peak."""
    schedule: Literal["constant", "one-cycle"] = "constant"
    """Learning rate over time: one-cycle rises over the first tenth of the steps, then falls as a
    cosine to nearly zero."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Clip the gradient norm to this value."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay (AdamW, arXiv 1711.05101)."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Label smoothing in the training loss: spread this share of each label over all classes
    (Szegedy 2016); not used for times to an event."""
    average: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the exponential moving average of the weights, which is evaluated and kept; 0 takes
    the weights themselves."""
    class_weights: bool = False
    """Weight each class by the inverse of its share in the training set."""
    mixed_precision: bool = True
    """Use bfloat16 on GPUs that have it; never on the CPU."""
    crops: bool = False
    """Cut the training segments anew in each epoch, at any position of a training recording; needs
    a model that reads the signal."""
    gain: float = Field(default=0.0, ge=0)
    """Multiply each training segment by a random factor; this is the standard deviation of its
    logarithm; needs a model that reads the signal."""
    second_target: float = Field(default=0.0, ge=0)
    """Weight in the loss of a second target, the logarithm of the days to the next discharge or
    death, for networks that predict it too; it is used in training only."""
    distil: float = Field(default=0.0, ge=0, lt=1)
    """Replace this share of each label by the probabilities of boosting on the summaries, fitted on
    other patients, in training (distillation, arXiv 1503.02531); needs a model that reads summaries
    of records."""
    refit: bool = False
    """Train again on the training and validation sets together, for the best number of epochs; the
    validation numbers stay those of the first training."""

    keep: Literal["best", "last"] = "best"
    """Epoch to keep: the best has the lowest loss on the validation set; with last, a schedule runs
    to its end and --patience has no effect."""

    @property
    def varies(self) -> bool:
        """``True`` if training segments differ from epoch to epoch."""
        return self.crops or self.gain > 0


class SequenceSettings(_Settings):
    """The settings that turn events into steps and codes."""

    min_subjects: int = Field(default=1, ge=1)
    """Drop codes seen in fewer training subjects than this; a package for other hospitals, `sequela
    share RUN --study NAME.zip`, needs 10 or more."""
    icd_digits: int | None = Field(default=None, ge=0)
    """Keep this many characters after the dot of an ICD code; 0 keeps only the category (default:
    all)."""
    step_hours: float | None = Field(default=None, gt=0)
    """Make each step a window of this many hours, counted back from the prediction (default: each
    visit is a step)."""
    demographics: bool = False
    """Add demographics, such as sex and age in decades, to the last step."""
    bins: int = Field(default=0, ge=0)
    """Turn measurements into this many quantile codes, with quantiles of the training set; 0 keeps
    the names of measurements without their values."""

    @field_validator("bins")
    @classmethod
    def _splits(cls, bins: int) -> int:
        if bins == 1:
            raise ValueError("bins must be 0 or at least 2")
        return bins


class QuestionSettings(_Settings):
    """The task: whom to include and what to predict."""

    task: str = "in-hospital"
    """Task: the outcome and time of prediction; or a TOML file that declares one."""
    declared: str | None = Field(default=None, json_schema_extra=NO_OPTION)
    """The task of a file, as JSON."""
    hours: float | None = Field(default=None, ge=0)
    """Predict this many hours after the admission or entry (default: set by the task)."""
    horizon_days: float | None = Field(default=None, gt=0, json_schema_extra={OPTION: "days"})
    """Predict the outcome within this many days (default: set by the task)."""
    horizons_days: tuple[float, ...] = Field(default=(), json_schema_extra={OPTION: "horizons"})
    """Predict the time to the outcome: its probability by each of these days, such as 365 1826;
    patients who are followed for less time count until then (default: predict yes or no)."""
    from_icu: bool = False
    """Count from the first ICU admission of the stay, not from the hospital admission."""
    tables: tuple[str, ...] = ()
    """Read this table with the required ones; may be repeated (default: all)."""
    labels: str | None = None
    """Take times and labels from this MEDS label file, for example from ACES, instead of a task."""
    outcome: Text = None
    """Name of the outcome in the label file, such as readmitted."""
    inputs: tuple[str, ...] = ()
    """Let the model read this family of codes, such as ICD9CM; may be repeated (default: those of
    the task)."""
    hindsight: bool = False
    """Use information from after the prediction, to the end of the stay, which leaks by design, to
    show how much it inflates the score."""


class SignalSettings(_Settings):
    """The description of custom recordings: each is an option, and a key of ``signals.toml``."""

    title: Text = None
    """Name of the data on pages and cards (default: the name of the file or folder)."""
    id: Text = None
    """Column of the id: of the segment in a table of segments, of the patient in a table with one
    row per patient, whose rows with one id are one patient."""
    subject: Text = None
    """Column of the recorded person; for files, `header`, `folder` (the first in the path), or a
    regular expression with a group that matches it in the path, such as '(chb[0-9]+)_'."""
    session: Text = None
    """Column of the session, which recordings made at the same time share; for files, `folder` or a
    regular expression."""
    recording: Text = None
    """Column of the recording; for files, a regular expression (default: each file is a recording,
    else each row)."""
    site: Text = None
    """Column of the site; for files, `folder` or a regular expression."""
    label: Text = None
    """Column of the class, or of the outcome; for files, also `folder` or a regular expression."""
    listing: Text = None
    """Table in a folder of files that names them, one a row, in a column `file` or `name`: label,
    subject, session, recording and site may then be its columns."""
    time: Text = None
    """Column of the time in seconds: in a table of segments, of the start of the segment, which
    orders the segments of a recording; in a csv file of one recording, of each sample, also in
    another unit, as in 'time [ms]', or a date and time; in a table with one row per patient, column
    of the date and time of the prediction."""
    channels: tuple[str, ...] = ()
    """Channels, such as C3,C4, or pairs, such as F3-C3 (default: the channels that all files
    have)."""
    samples: Text = None
    """Columns of the samples, such as 'X*'; with several channels, such as '{channel}_*'; for npz
    files, the array of signals."""
    rate: float | None = Field(default=None, gt=0)
    """Samples per second, in Hz, if the file does not state it."""
    resample: float | None = Field(default=None, gt=0)
    """Resample to this rate in Hz, after an anti-alias filter (default: unchanged)."""
    unit: Literal["µV", "uV", "mV", "V", "nV"] | None = None
    """Unit of the samples, if the file does not state it."""
    window: float | None = Field(default=None, gt=0)
    """Seconds of a window (default: each row is a window)."""
    stride: float | None = Field(default=None, gt=0)
    """Seconds from the start of one window to the start of the next (default: the length of a
    window)."""
    classes: tuple[str, ...] = ()
    """Classes in order, as in the data, or as NAME=VALUES, such as 'sleep=N1|N2|N3' (default: all
    values of the column, sorted); of two classes of patients, the event is last."""
    omit: tuple[str, ...] = ()
    """Leave out windows of this class in the data, such as '?'; in a table with one row per
    patient, this column."""
    format: tuple[str, ...] = ()
    """Form of csv files as KEY=VALUE, such as 'separator=;', 'decimal=,', 'encoding=latin-1' or
    'date=%d/%m/%Y'; may be repeated (with one row per patient: only what cells do not show)."""
    sheet: Text = None
    """Sheet of an Excel workbook, for a table with one row per patient in one of several sheets."""
    events: Text = None
    """Source of the events that label the windows of files: `annotations` (in the file), `bids`,
    `summary` (CHB-MIT), `siena`, `seizeit`, or a table with file, onset, duration and label."""
    background: Text = None
    """Class of windows without an event (default: they are left out)."""
    overlap: float = Field(default=0.5, gt=0, le=1)
    """Share of a window that an event must cover to label it."""
    reference: tuple[str, ...] = ()
    """Subtract the mean of all channels that are read (`average`), or of these channels, such as
    M1,M2, which are then left out."""
    filter: tuple[float, ...] = ()
    """Keep the frequencies between these two, in Hz, such as 0.5 40, in each recording before it is
    cut (Butterworth filter of order 4, zero phase); 0 leaves a side open."""
    notch: float | None = Field(default=None, ge=1)
    """Remove the mains hum at this frequency, in Hz, such as 50, before the recording is cut."""
    reject: float | None = Field(default=None, gt=0)
    """Leave out and count windows with a channel of more than this many µV from peak to peak."""
    standardise: Literal["robust"] | None = None
    """Scale each channel by its median and interquartile range in the training set (`robust`), for
    models that read the signal (default: mean and standard deviation)."""

    @property
    def preparation(self) -> "SignalSettings":
        """The settings that a trained model applies to new recordings too."""
        return SignalSettings(**self.model_dump(include=_PREPARATION, exclude_defaults=True))

    @property
    def in_words(self) -> tuple[str, ...]:
        """The preparation as a sentence, or nothing."""
        values = self.preparation.model_dump(mode="json", exclude_defaults=True)
        words = [f"{name} {json.dumps(value).strip('[]')}" for name, value in values.items()]
        return (f"prepared with {'; '.join(words)}",) if words else ()

    @field_validator("filter")
    @classmethod
    def _is_a_band(cls, band: tuple[float, ...]) -> tuple[float, ...]:
        # 0 leaves a side open; a band that is open on both sides would filter nothing.
        low, *high = band or (0.0, 1.0)
        if len(high) != 1 or not 0 <= low < (high[0] or math.inf) or not (low or high[0]):
            raise ValueError("expected two frequencies, the lower one first, such as 0.5 40")
        return band

    @property
    def independent(self) -> SplitUnit:
        """The default unit of a split: the largest known unit."""
        return "subject" if self.subject else "session" if self.session else "recording"

    @field_validator("format", mode="before")
    @classmethod
    def _of_table(cls, value: object) -> object:
        """Read a table ``[format]``, as hospital tables have it."""
        return [f"{k}={v}" for k, v in value.items()] if isinstance(value, dict) else value

    @field_validator("channels", "classes", "omit", "reference", mode="before")
    @classmethod
    def _by_comma(cls, value: object) -> object:
        """Split ``C3,C4`` at commas; a table of classes in a file is ``NAME=VALUES``."""
        if isinstance(value, dict):
            return tuple(f"{name}={_joined(values)}" for name, values in value.items())
        if isinstance(value, str):
            value = (value,)
        if not isinstance(value, (list, tuple)) or not all(isinstance(text, str) for text in value):
            return value
        return tuple(part.strip() for part in ",".join(value).split(",") if part.strip())


def _joined(values: object) -> str:
    """Return the value or values of a class in the data."""
    return "|".join(map(str, values if isinstance(values, list) else [values]))


class CohortSettings(SequenceSettings, QuestionSettings):
    """The task and the sequences of a run on hospital tables."""


def _codes(cohort: CohortSettings) -> str:
    """Return the level to which ICD codes are cut; nothing if they are not."""
    digits = cohort.icd_digits
    # None keeps whole codes, while 0 keeps the category before the dot.
    if digits is None:
        return ""
    return f", ICD codes to {f'{digits} characters after ' if digits else ''}the dot"


class _Inputs(_Settings):
    """The model and the data of a run."""

    model: str
    """Model."""
    data: str
    """Data set."""


class RunOptions(_Settings):
    """The settings of a run on data of either kind: its split, seeds, threshold and segments."""

    split: SplitUnit = "recording"
    """Keep all rows of each subject, session (recordings made at the same time), recording or site
    (hospital) in one set, put the latest predictions in the test set (time), or split single rows,
    which leaks by design (default: the largest known unit)."""
    folds: int = Field(default=0, ge=0)
    """Cross-validate with this many folds (default: one split)."""
    fold: int = Field(default=0, ge=0, json_schema_extra=NO_OPTION)
    """Hold out this fold; numbers from `folds` on are folds of the next repeat."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the weights, of the order of the batches and, without --split-seed, of the split."""
    split_seed: int | None = Field(default=None, ge=0, lt=2**31)
    """Seed of the split, to train on one split with several seeds (default: the seed)."""
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    """Shares of the training, validation and test set; with folds, the first two divide the other
    folds."""
    aim: Aim = "youden"
    """With two classes, choose the decision threshold on the validation set by this criterion."""
    aim_target: float | None = Field(default=None, validate_default=True)
    """Target of the aim: the sensitivity to reach, or the cost of a missed event in false alarms
    (cost_ratio)."""
    resamples: int = Field(default=2_000, ge=100, json_schema_extra=NO_OPTION)
    """Compute each interval from this many bootstrap resamples."""
    rounds: int = Field(default=500, ge=1, json_schema_extra=NO_OPTION)
    """Add trees in at most this many rounds of boosting."""
    segment: SegmentLength | None = None
    """Cut recordings into segments of this many samples; `recording` keeps each whole (default: set
    by the model, else by the data set)."""

    @field_validator("segment")
    @classmethod
    def _has_samples(cls, segment: SegmentLength | None) -> SegmentLength | None:
        if isinstance(segment, int) and segment < 1:
            raise ValueError("a segment has at least one sample")
        return segment

    @field_validator("aim_target")
    @classmethod
    def _fits_the_aim(cls, target: float | None, info: ValidationInfo) -> float | None:
        """Check before training that there is a target if, and only if, the aim needs one."""
        aim = info.data.get("aim", "youden")  # missing if the aim itself was refused
        if aim in TARGETS:
            return check_target(aim, target)
        if target is not None:
            raise ValueError(f"the aim '{aim}' takes no target")
        return None


class RunSettings(RunOptions, _Inputs):
    """All settings that determine the result of a run: the run's ``config.toml``."""

    model_settings: dict[str, Any] = {}
    """Changes to the model's config."""
    cohort: CohortSettings | None = None
    """The task on hospital records."""
    signals: SignalSettings | None = None
    """The description of custom recordings."""
    training: TrainingSettings = TrainingSettings()
    """The settings of training."""

    @field_validator("model_settings")
    @classmethod
    def _can_be_written(cls, changes: dict[str, object]) -> dict[str, object]:
        return {name: _as_toml(name, value) for name, value in changes.items()}

    @property
    def seed_of_split(self) -> int:
        """The seed of the split."""
        return self.seed if self.split_seed is None else self.split_seed

    @property
    def seed_of_training(self) -> int:
        """The seed of weights and batches: each fold has its own.

        Example:
            >>> run = RunSettings(model="mlp-baseline", data="bonn", seed=7)
            >>> folds = [run.model_copy(update={"folds": 5, "fold": n}) for n in (0, 1)]
            >>> [each.seed_of_training for each in (run, *folds)]
            [7, 2083679832, 369571992]
        """
        if not self.folds:
            return self.seed
        import numpy as np

        # The seed plus the number of the fold would be the seed of another run.
        return int(np.random.SeedSequence([self.seed, self.fold]).generate_state(1)[0]) % 2**31

    @property
    def title(self) -> str:
        """The name of the run for people.

        Example:
            >>> RunSettings(model="gru-improved", data="bonn", split="row").title
            'gru-improved, bonn by row'
        """
        where, by, cohort = self.data, f" by {self.split}", self.cohort
        if cohort:
            task = (cohort.outcome or "labels of a file") if cohort.labels else cohort.task
            by = _codes(cohort) if self.split == "subject" else by + _codes(cohort)
            where = f"{task} of {self.data}"
        weighted = ", weighted" if self.training.class_weights else ""
        later = ", with later information" if cohort and cohort.hindsight else ""
        return f"{self.model}, {where}{by}{weighted}{later}"

    def to_toml(self) -> str:
        """Return the settings as TOML; ``None`` is left out."""
        import tomlkit

        record = self.model_dump(mode="json", exclude_none=True)
        return tomlkit.dumps({name: _without_passwords(part) for name, part in record.items()})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read settings from a run's ``config.toml``."""
        try:
            return cls.of(**tomllib.loads(path.read_bytes().decode("utf-8")))
        except FileNotFoundError as error:
            raise RunError(
                f"{path}: not found; expected a run folder with a config.toml"
            ) from error
        except (ValueError, TypeError, RecursionError) as error:
            raise RunError(f"{path}: not a run's settings: {error}") from error


def _without_passwords(value: object) -> object:
    """Remove passwords from the texts of a record; its form stays."""
    if isinstance(value, dict):
        return {name: _without_passwords(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_passwords(part) for part in value]
    return without_passwords(value) if isinstance(value, str) else value


def options(settings: type[BaseModel]) -> dict[str, str]:
    """Return the options of settings, by the name of the setting."""
    words = {}
    for name, setting in settings.model_fields.items():
        extra = setting.json_schema_extra
        word = extra.get(OPTION, name) if isinstance(extra, dict) else name
        if word:
            words[name] = f"--{str(word).replace('_', '-')}"
    return words


@dataclass(frozen=True)
class Options:
    """The options of a run as a user gave them; bounds are checked with the settings of the run."""

    run: RunOptions = field(default_factory=RunOptions)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    records: CohortSettings = field(default_factory=CohortSettings)
    signals: SignalSettings = field(default_factory=SignalSettings)

    @classmethod
    def of(cls, **values: object) -> Self:
        """Sort options by the settings that they change: ``Options.of(epochs=8, folds=5)``."""
        parts: dict[str, Any] = {part.name: part.default_factory for part in fields(cls)}
        part_of: dict[str, str] = {}
        for part, settings in parts.items():
            part_of |= dict.fromkeys(options(settings), part)
        groups: dict[str, dict[str, object]] = {part: {} for part in parts}
        for name, value in values.items():
            if name not in part_of:
                raise unknown_name("setting", name, part_of)
            groups[part_of[name]][name] = value
        return cls(**{part: parts[part].model_construct(**groups[part]) for part in parts})


def _as_toml(where: str, value: object) -> object:
    """Return a value as TOML gives it back, or raise ``ValueError`` if TOML has no such value."""
    match value:
        case dict() if all(isinstance(key, str) for key in value):
            return {key: _as_toml(f"{where}.{key}", item) for key, item in value.items()}
        case list() | tuple():
            return [_as_toml(where, item) for item in value]
        case bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
    raise ValueError(
        f"{where} = {value!r} cannot be written to a config.toml: expected numbers, text, truth "
        "values, and lists and tables of these"
    )
