"""Frozen settings, checked where they enter: the command line and a run's ``config.toml``."""

import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from sequela.errors import RunError, SettingError

SplitUnit = Literal["subject", "recording", "row"]
Aim = Literal["sensitivity", "f1", "cost_ratio", "youden"]

TARGETS: Mapping[Aim, float] = {"sensitivity": 1.0, "cost_ratio": math.inf}
"""The aims that need a target, and the largest one."""


def check_target(aim: Aim, target: float | None) -> float:
    """The target of an aim that needs one.

    Raises:
        SettingError: If it is missing or out of range.
    """
    most = TARGETS[aim]
    if target is None or not 0 < target <= most:
        limit = f"above 0, at most {most:g}" if math.isfinite(most) else "above 0"
        raise SettingError(f"the aim '{aim}' has the target {target}: expected a number {limit}")
    return target


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Checked settings.

        Raises:
            SettingError: If a value is not allowed; the message names the setting and the value.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise SettingError(
                f"setting {name} = {first['input']!r} cannot be used: {first['msg']}"
            ) from error


class TrainingSettings(_Settings):
    """How a model is fitted; see ``sequela.training.fit``."""

    epochs: int = Field(default=60, ge=1)
    """Passes over the training part at most."""
    patience: int = Field(default=15, ge=1)
    """Epochs without a better tuning loss after which training stops."""
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    """Adam's; the peak of it where there is a schedule."""
    schedule: Literal["constant", "one-cycle"] = "constant"
    """``one-cycle``: a rise over the first tenth of the steps, then a cosine to nearly zero."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Largest norm of the gradient; ``None`` does not clip."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled from the gradient (Loshchilov and Hutter 2019, arXiv 1711.05101)."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the label spread over all classes in the loss that is learnt from (Szegedy 2016)."""
    average: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the running average of the weights, which is what is judged and kept; 0: none."""
    class_weights: bool = False
    """Weigh each class by the inverse of its share in the training part."""
    mixed_precision: bool = True
    """bfloat16 where the device has it (GPUs); never on the CPU."""


class CohortSettings(_Settings):
    """Who is asked what, and how a record becomes a sequence: for data that are hospital tables."""

    task: str = "in-hospital"
    """One of ``sequela.cohort.tasks.TASKS``."""
    hours: float | None = Field(default=None, ge=0)
    """From the trigger to the prediction; the task's own where it is not said."""
    horizon_days: float | None = Field(default=None, gt=0)
    """How far a death counts; the task's own where it is not said."""
    from_icu: bool = False
    """Count from the first admission to an ICU in the stay, not to the hospital."""
    tables: tuple[str, ...] = ()
    """Tables to read beside those that are needed; all that are there where it is empty."""
    labels: str | None = None
    """A MEDS label file that takes the place of the task's triggers, labels and rules."""
    inputs: tuple[str, ...] = ()
    """Families of codes that a model may see; the task's own where it is empty."""
    hindsight: bool = False
    """Look back from the end of the stay: leaks, and shows what that is worth."""
    min_subjects: int = Field(default=1, ge=1)
    """In how many training subjects a code must stand to be known."""
    icd_digits: int | None = Field(default=None, ge=0)
    """Characters of an ICD code that are kept behind the dot; all where it is not said."""
    step_hours: float | None = Field(default=None, gt=0)
    """Steps are windows of so many hours; visits where it is not said."""
    demographics: bool = False
    """Add sex, age in decades and the like to the last step."""
    bins: int = Field(default=0, ge=0)
    """Quantiles into which measurements are split; 0 keeps only that something was measured."""


class RunSettings(_Settings):
    """Everything that decides what a run computes: the run's ``config.toml``."""

    model: str
    data: str
    split: SplitUnit = "recording"
    folds: int = Field(default=0, ge=0)
    """Of cross-validation: each fold is held out once; 0 draws one split."""
    fold: int = Field(default=0, ge=0)
    """Which fold is held out; from ``folds`` on, those of the next repeat."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    """Shares of train, tuning and held_out."""
    aim: Aim = "youden"
    """What the threshold serves that is chosen on the tuning part, where there are two classes."""
    aim_target: float | None = Field(default=None, validate_default=True)
    """The aim's number: a sensitivity, or how many false alarms a missed event costs."""
    model_settings: dict[str, Any] = Field(default_factory=dict)
    """Changes to the model's config."""
    cohort: CohortSettings | None = None
    """Where the data are hospital tables."""
    training: TrainingSettings = Field(default_factory=TrainingSettings)

    @field_validator("aim_target")
    @classmethod
    def _fits_the_aim(cls, target: float | None, info: ValidationInfo) -> float | None:
        """A target that the aim needs, and none that it does not know: seen before training."""
        aim = info.data.get("aim", "youden")  # not there where it was refused itself
        if aim in TARGETS:
            return check_target(aim, target)
        if target is not None:
            raise ValueError(f"the aim '{aim}' takes no target")
        return None

    @property
    def title(self) -> str:
        """What tells the run apart from others, for people.

        Example:
            >>> RunSettings(model="gru-improved", data="bonn", split="row").title
            'gru-improved, bonn by row'
        """
        asked = self.cohort
        where = f"{asked.task} of {self.data}" if asked else f"{self.data} by {self.split}"
        weighted = ", weighted" * self.training.class_weights
        return (
            f"{self.model}, {where}{weighted}{', looking back' * bool(asked and asked.hindsight)}"
        )

    def to_toml(self) -> str:
        """The settings as TOML; ``None`` is left out."""
        values = self.model_dump(mode="json", exclude_none=True)
        tables = {name: value for name, value in values.items() if isinstance(value, dict)}
        lines = [f"{name} = {_literal(v)}" for name, v in values.items() if name not in tables]
        for table, content in tables.items():
            lines += ["", f"[{table}]"] + [f"{name} = {_literal(v)}" for name, v in content.items()]
        return "\n".join(lines) + "\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Settings from a run's ``config.toml``.

        Raises:
            RunError: If the file is missing or is not the settings of a run.
        """
        try:
            return cls.of(**tomllib.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise RunError(
                f"{path}: not found; expected a run folder with a config.toml"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, SettingError) as error:
            raise RunError(f"{path}: not a run's settings: {error}") from error


def _literal(value: Any) -> str:
    """A TOML literal of a number, truth value, string or flat list."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(_literal(item) for item in value)}]"
    if isinstance(value, str):
        # A JSON string is a TOML one, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
