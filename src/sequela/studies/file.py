"""A study as a file: data, task, models, seeds and claims, in TOML.

The two studies of the 2019 report are such files (``declared/``). Run a custom file with ``sequela
study FILE.toml``.
"""

from collections.abc import Mapping
from dataclasses import field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass

from sequela.config import SignalSettings, SplitUnit, TrainingSettings
from sequela.datasets import catalog
from sequela.errors import SettingError, UnknownNameError, unknown_name
from sequela.formats import opened
from sequela.models.reference import REFERENCE_MODELS
from sequela.models.registry import MODELS
from sequela.studies.claims import Claim, read
from sequela.studies.study import Question, Study, StudyKeys

SUFFIX = ".toml"
Settings = dict[str, Any]  # by name, as a table in TOML has them
_EXPECTED = "a study in TOML (docs/reproduce.md)"
_KEYS = AliasChoices("records", "asked")  # asked until 0.2.0


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StudyCohort(_Table):
    """A data set and its task."""

    data: str
    task: str = ""
    fewest: int | None = Field(default=None, ge=0)
    records: Settings = Field(default={}, validation_alias=_KEYS)

    @property
    def question(self) -> Question:
        """The question of a study."""
        return self.data, self.task


class ModelFamily(_Table):
    """A baseline and its improved model."""

    title: str
    baseline: str
    improved: str


@dataclass(frozen=True, config={"extra": "forbid", "allow_inf_nan": False})
class StudyFile(StudyKeys):
    """The keys of a study file.

    Each key is a field of :class:`~sequela.studies.study.Study`, or is described here.
    """

    data: str | tuple[str, ...] = ()
    task: str = ""
    """The task of ``data``, if these are records: a name, or a task file next to this."""
    # Not Annotated: pydantic 2.11.0 takes the factory of a dataclass's field for a second default.
    records: Settings = Field(default_factory=dict, validation_alias=_KEYS)
    """Settings of the task and its sequences; in a file of several cohorts, by data set."""
    cohorts: tuple[StudyCohort, ...] = ()
    primary: tuple[StudyCohort, ...] = ()
    hindsight: tuple[StudyCohort, ...] = ()
    splits: tuple[SplitUnit, ...] = ()
    models: tuple[str, ...] = ()
    """Networks and baseline models."""
    training: dict[str, Settings] = field(default_factory=dict)
    """Changes to how a network is trained."""
    families: tuple[ModelFamily, ...] = ()
    claims: str | tuple[Claim, ...] = ()
    """Tables, or a file of them."""
    reported_question: StudyCohort | None = None


def read_study(path: Path) -> Study:
    """Read the study of a file."""
    file = opened.declaration(path, StudyFile, _EXPECTED)
    try:
        file = _with_tasks(file, path)
        _check_names(file)
        return _study(file, path)
    except (SettingError, UnknownNameError) as error:
        raise type(error)(f"{path}: {error}") from None  # the file, and no traceback


def shipped(name: str) -> Study:
    """Return a study that ships with the package."""
    path = Path(str(files("sequela.studies") / "declared" / f"{name}-study.toml"))
    return replace(_study(opened.declaration(path, StudyFile, _EXPECTED), path), file="")


def _with_tasks(file: StudyFile, path: Path) -> StudyFile:
    # A task file replaces the name of a task by its content, so that a run folder holds the
    # question itself and can be opened without the file.
    def read(task: str, records: Mapping[str, Any]) -> Settings:
        if not task.endswith(SUFFIX):
            return {}
        from sequela.cohort.task_files import read_task

        name, declared = read_task(path.parent / task)
        return {"task": name, "records": {"declared": declared, **records}}

    cohorts: Settings = {
        key: tuple(
            cohort.model_copy(update=read(cohort.task, cohort.records))
            for cohort in getattr(file, key)
        )
        for key in ("cohorts", "primary", "hindsight")
    }
    return replace(file, **cohorts, **read(file.task, file.records))


def _study(file: StudyFile, path: Path) -> Study:
    data = (file.data,) if isinstance(file.data, str) else file.data
    cohorts = file.cohorts
    if file.task and data:
        cohorts, data = tuple(StudyCohort(data=data_set, task=file.task) for data_set in data), ()
    networks = [name for name in file.models if name in MODELS]
    # A file states only its changes: all other settings come from the registered network.
    usual = {name: MODELS[name].training.model_dump() for name in networks}
    as_stated: Settings = {key.name: getattr(file, key.name) for key in fields(StudyKeys)}
    first = (*data, *(cohort.data for cohort in cohorts))[0]
    signals = SignalSettings.of(**file.signals)
    return Study(
        **as_stated,
        data=data,
        cohorts=tuple(cohort.question for cohort in cohorts),
        # Without a preference, the first data set that is present gives the main result.
        primary=_preferred(file.primary) or tuple(((data_set, ""), 1) for data_set in data),
        hindsight=_preferred(file.hindsight),
        records=_records(file, cohorts),
        splits=file.splits or (catalog.lookup(first).usual_split(signals),),
        training={
            name: TrainingSettings.of(**{**usual[name], **file.training.get(name, {})})
            for name in networks
        },
        reference_models=tuple(name for name in file.models if name not in MODELS),
        families=tuple(
            (cohort.title, cohort.baseline, cohort.improved) for cohort in file.families
        ),
        claims=read(path.parent / file.claims) if isinstance(file.claims, str) else file.claims,
        reported_question=file.reported_question.question if file.reported_question else None,
        file=path.name,
    )


def _preferred(cohorts: tuple[StudyCohort, ...]) -> tuple[tuple[Question, int], ...]:
    return tuple((cohort.question, cohort.fewest or 0) for cohort in cohorts)


def _records(
    file: StudyFile, cohorts: tuple[StudyCohort, ...]
) -> Mapping[str | Question, Mapping[str, object]]:
    of_task = {cohort.data: {"task": file.task, **file.records} for cohort in cohorts}
    settings = of_task if file.task else file.records
    by_question: dict[str | Question, Mapping[str, object]] = {}
    by_question.update((name, cohort) for name, cohort in settings.items())
    return by_question | {cohort.question: cohort.records for cohort in cohorts if cohort.records}


def _check_names(file: StudyFile) -> None:
    from sequela.cohort.tasks import TASKS

    data_sets = [file.data] if isinstance(file.data, str) else list(file.data)
    data_sets += [cohort.data for cohort in file.cohorts]
    if not data_sets or not file.models:
        missing = "models" if data_sets else "data"
        raise SettingError(f"key '{missing}' is missing or empty: a study needs data and models")
    for name in data_sets:
        catalog.lookup(name)
    for name in file.models:
        if name not in MODELS and name not in REFERENCE_MODELS:
            raise unknown_name("model", name, [*MODELS, *REFERENCE_MODELS])
    tasks = [(file.task, file.records), *((cohort.task, cohort.records) for cohort in file.cohorts)]
    for task, records in tasks:
        if task and task not in TASKS and "declared" not in records:
            raise unknown_name("task", task, TASKS)
    # A misspelt model would otherwise be trained with its usual settings, without a word.
    for name in set(file.training) - set(file.models):
        raise SettingError(f"key 'training.{name}': it is not one of the models of the study")
    SignalSettings.of(**file.signals)
