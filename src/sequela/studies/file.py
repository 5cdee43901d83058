"""A study as a file: data, task, models, seeds and claims, in TOML.

The two studies of the 2019 report are such files (``declared/``). Run a custom file with ``sequela
study FILE.toml``.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sequela.cohort.task_files import SUFFIX, read_task
from sequela.cohort.tasks import TASKS
from sequela.config import SignalSettings, SplitUnit, TrainingSettings
from sequela.errors import SettingError, UnknownNameError, unknown_name
from sequela.models.reference import REFERENCE_MODELS
from sequela.models.registry import MODELS
from sequela.sources import catalog
from sequela.studies.claims import Claim, read
from sequela.studies.study import Question, Study


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Cohort(_Table):
    """A data set and its task."""

    data: str
    task: str = ""
    variant: str = ""
    fewest: int | None = Field(default=None, ge=0)
    asked: dict[str, Any] = {}

    @property
    def question(self) -> Question:
        """The question of a study."""
        return (self.data, self.task, *filter(None, (self.variant,)))


class ModelFamily(_Table):
    """A baseline and its improved model."""

    title: str
    baseline: str
    improved: str


class StudyFile(_Table):
    """The keys of a study file.

    Each key is a field of :class:`~sequela.studies.study.Study`, or is described here.
    """

    name: str = Field(min_length=1, description="In results.json, and of the part of the page.")
    title: str = ""
    heading: str = ""
    data: str | tuple[str, ...] = Field(default=(), description="Data sets to choose one from.")
    task: str = Field(
        default="",
        description="Task of `data`, if these are records: a name, or a task file next to this.",
    )
    asked: dict[str, Any] = Field(
        default={}, description="Settings of the task and its sequences: fields of CohortSettings. "
        "In a file of several cohorts, by data set.",
    )  # fmt: skip
    signals: dict[str, Any] = Field(default={}, description="Description of your own recordings.")
    cohorts: tuple[Cohort, ...] = ()
    primary: tuple[Cohort, ...] = ()
    hindsight: tuple[Cohort, ...] = ()
    rooted: str = ""
    splits: tuple[SplitUnit, ...] = ()
    models: tuple[str, ...] = Field(default=(), description="Networks and reference models.")
    training: dict[str, dict[str, Any]] = Field(
        default={}, description="Changes to how a network is trained."
    )
    default: bool = False
    controls: dict[str, tuple[str, ...]] = {}
    quick_epochs: int = Field(default=4, ge=1)
    quick_average: float = Field(default=0.98, ge=0, lt=1)
    families: tuple[ModelFamily, ...] = ()
    claims: str | tuple[Claim, ...] = Field(default=(), description="Tables, or a file of them.")
    report: str = "the report"
    citation: str = ""
    reported: dict[str, dict[str, int | float | str]] = {}
    reported_columns: tuple[str, ...] = ()
    reported_question: Cohort | None = None
    few: int = Field(default=200, ge=0)
    very_few: int = Field(default=50, ge=0)
    folds: int = Field(default=5, ge=0)
    repeats: int = Field(default=1, ge=1)
    seeds: int = Field(default=1, ge=1, description="Number of seeds for each split.")
    caveats: tuple[str, ...] = ()
    notes: dict[str, str] = {}


def read_study(path: Path) -> Study:
    """Read the study of a file.

    Raises:
        SettingError: If the file is missing or invalid; the message names the file, the key and the
            expectation.
        UnknownNameError: If it names a data set, task or model that does not exist.
    """
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
        found = StudyFile(**record)
    except OSError as error:
        raise SettingError(
            f"{path}: cannot be read ({error.strerror}); name a study file"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
        raise SettingError(f"{path}: expected a study in TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        known = f"; known keys: {', '.join(StudyFile.model_fields)}"
        more = known * (first["type"] == "extra_forbidden")
        raise SettingError(f"{path}: key '{key}': {first['msg']}{more}") from None
    try:
        return _study(_with_tasks(found, path), path)
    except (SettingError, UnknownNameError) as error:
        raise type(error)(f"{path}: {error}") from None


def shipped(name: str) -> Study:
    """Return a study that ships with the package."""
    found = read_study(Path(str(files("sequela.studies") / "declared" / f"{name}-study.toml")))
    return replace(found, file="")


def _with_tasks(file: StudyFile, path: Path) -> StudyFile:
    """Return the study with the tasks that files in its folder declare."""

    def read(task: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        if not task.endswith(SUFFIX):
            return {}
        name, declared = read_task(path.parent / task)
        return {"task": name, "asked": {"declared": declared, **asked}}

    named = {
        key: tuple(one.model_copy(update=read(one.task, one.asked)) for one in getattr(file, key))
        for key in ("cohorts", "primary", "hindsight")
    }
    return file.model_copy(update={**named, **read(file.task, file.asked)})


def _study(file: StudyFile, path: Path) -> Study:
    _check_names(file)
    data = (file.data,) if isinstance(file.data, str) else file.data
    cohorts = file.cohorts
    if file.task and data:
        cohorts, data = tuple(Cohort(data=each, task=file.task) for each in data), ()
    networks = [name for name in file.models if name in MODELS]
    usual = {name: MODELS[name].training.model_dump() for name in networks}
    as_said = {
        f.name: getattr(file, f.name) for f in fields(Study) if f.name in StudyFile.model_fields
    }
    made = {
        "title": file.title or file.name,
        "heading": file.heading or file.title or file.name,
        "data": data,
        "cohorts": tuple(each.question for each in cohorts),
        "primary": _preferred(file.primary) or tuple(((one, ""), 1) for one in data),
        "hindsight": _preferred(file.hindsight),
        "asked": _asked(file, cohorts),
        "splits": file.splits or _usual_splits(file, data or tuple(one.data for one in cohorts)),
        "training": {
            name: TrainingSettings.of(**{**usual[name], **file.training.get(name, {})})
            for name in networks
        },
        "reference_models": tuple(name for name in file.models if name not in MODELS),
        "families": tuple((one.title, one.baseline, one.improved) for one in file.families),
        "claims": read(path.parent / file.claims) if isinstance(file.claims, str) else file.claims,
        "reported_question": file.reported_question.question if file.reported_question else None,
        "file": path.name,
    }
    return Study(**{**as_said, **made})


def _preferred(cohorts: tuple[Cohort, ...]) -> tuple[tuple[Question, int], ...]:
    return tuple((one.question, one.fewest or 0) for one in cohorts)


def _asked(
    file: StudyFile, cohorts: tuple[Cohort, ...]
) -> Mapping[str | Question, Mapping[str, Any]]:
    """Return the settings of each data set, and further ones of a question."""
    with_task = {one.data: {"task": file.task, **file.asked} for one in cohorts}
    said = with_task if file.task else file.asked
    own: dict[str | Question, Mapping[str, Any]] = {}
    own.update((name, one) for name, one in said.items())
    return own | {one.question: one.asked for one in cohorts if one.asked}


def _usual_splits(file: StudyFile, data: tuple[str, ...]) -> tuple[SplitUnit, ...]:
    """Return the split by the largest unit that is known."""
    entry = catalog.lookup(data[0])
    if entry.windows:
        return (SignalSettings.of(**file.signals).independent,)
    return (entry.units[0],)


def _check_names(file: StudyFile) -> None:
    named = [file.data] if isinstance(file.data, str) else list(file.data)
    named += [one.data for one in file.cohorts]
    if not named or not file.models:
        missing = "models" if named else "data"
        raise SettingError(f"key '{missing}' is missing or empty: a study needs data and models")
    for name in named:
        catalog.lookup(name)
    for name in file.models:
        if name not in MODELS and name not in REFERENCE_MODELS:
            raise unknown_name("model", name, [*MODELS, *REFERENCE_MODELS])
    tasks = [(file.task, file.asked), *((one.task, one.asked) for one in file.cohorts)]
    for task, asked in tasks:
        if task and task not in TASKS and "declared" not in asked:
            raise unknown_name("task", task, TASKS)
    for name in set(file.training) - set(file.models):
        raise SettingError(f"key 'training.{name}': it is not one of the models of the study")
    SignalSettings.of(**file.signals)
