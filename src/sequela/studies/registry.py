"""The registry of studies, and the study of a run."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from sequela.config import CohortSettings, TrainingSettings
from sequela.datasets import catalog
from sequela.errors import SettingError
from sequela.models.registry import MODELS, lookup
from sequela.plugins import Registry
from sequela.studies.file import SUFFIX, shipped
from sequela.studies.study import Question, Study

if TYPE_CHECKING:
    from sequela.runs.find import Run


def _check(name: str, study: Study) -> None:
    STUDIES.check_new(name)
    if not study.questions() or not (study.training or study.reference_models):
        raise SettingError(
            f"study '{name}' runs nothing: name its data or cohorts, and models in training "
            "or reference_models"
        )
    # A wrong name is an error now, and not after hours of training.
    for question in [*study.cohorts, *((data_set, "") for data_set in study.data)]:
        catalog.lookup(question[0])
        study.cohort_of(question)
    for model in (*study.training, *study.reference_models):
        lookup(model)


STUDIES = Registry("study", Study, _check)
STUDIES |= {study.name: study for study in map(shipped, ("seizure", "mortality"))}
"""The studies by name, in page order."""
REPORT = tuple(STUDIES)  # the studies of the 2019 report, which are reproduced by default


def question_of(run: "Run") -> Question:
    """Return the data set of a run, and its task."""
    cohort = run.settings.cohort
    return run.settings.data, cohort.task if cohort else ""


def planned_leak(run: "Run") -> str:
    """Return ``row``, ``recording`` or ``hindsight`` for a run that shows a leak, else nothing.

    A split by recording leaks where recordings were made at the same time.
    """
    if run.metrics.split.leaks:
        return "row"
    # Simultaneous recordings of one session are nearly copies, in training and test set alike.
    if run.settings.split == "recording" and run.data.unit == "session":
        return "recording"
    return "hindsight" if (run.data.task or {}).get("hindsight") else ""


def study_of(run: "Run") -> Study:
    """Return the study of a run: the last registered one that has its question.

    Other runs get a new study without claims.
    """
    question, data = question_of(run), run.data
    # A study that a user registers for the same data replaces the one that ships with the package.
    for study in reversed(STUDIES.values()):
        if question[0] in study.data or question in study.cohorts:
            return study
    name, title = "-".join(filter(None, question)), data.title
    heading = ": ".join(filter(None, (title, question[1])))
    families = tuple(chain.from_iterable(study.families for study in STUDIES.values()))
    return Study(name, heading, families=families)


def training_of(model: str, changes: Mapping[str, object]) -> TrainingSettings:
    """Return the training settings of a model in its study, or else of its entry, with changes."""
    in_studies = (study.training[model] for study in STUDIES.values() if model in study.training)
    usual = MODELS[model].training if model in MODELS else TrainingSettings()
    return TrainingSettings.of(**{**next(in_studies, usual).model_dump(), **changes})


def records_of(data: str, changes: Mapping[str, object]) -> CohortSettings:
    """Return the settings of a data set in its study, with a user's changes; see ``Study.ask``.

    A task may be the path of a file that declares it.
    """
    task = str(changes.get("task", ""))
    if task.endswith(SUFFIX):
        from sequela.cohort.task_files import read_task

        name, declared = read_task(Path(task))
        changes = {**changes, "task": name, "declared": declared}
    asking = (study for study in STUDIES.values() if data in study.records)
    return next(asking, Study("")).ask(data, changes)
