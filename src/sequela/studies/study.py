"""A study as data: its runs and data, its claims, and its caveats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from sequela.config import CohortSettings, RunSettings, SignalSettings, SplitUnit, TrainingSettings
from sequela.models.registry import MODELS
from sequela.studies.claims import Claim

Question = tuple[str, str]
"""A data set and its task; no task where the data set has its own classes."""
_FEWEST_FOLDS = 2  # each example is tested once, also in a quick study
_QUICK = {"resamples": 200, "rounds": 50}
"""Settings of the runs of a quick study, which has no refit and no teacher."""
_OF_THE_TASK = ("hours", "from_icu", "declared")
"""The keys of ``Study.records`` that are only for its own task."""


_Count = Annotated[int, Field(ge=0)]
_Positive = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class StudyKeys:
    """The facts of a study that a file states as they are; :class:`Study` describes them."""

    name: Annotated[str, Field(min_length=1)]
    title: str = ""
    heading: str = ""
    signals: Mapping[str, object] = field(default_factory=dict)
    rooted: str = ""
    default: bool = False
    controls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    quick_epochs: _Positive = 4
    # A longer memory would still hold the random first weights.
    quick_average: Annotated[float, Field(ge=0, lt=1)] = 0.98
    report: str = "the report"
    citation: str = ""
    reported: Mapping[str, Mapping[str, int | float | str]] = field(default_factory=dict)
    reported_columns: tuple[str, ...] = ()
    few: _Count = 200  # one test set of fewer has wide intervals, so all examples are tested
    very_few: _Count = 50  # about 10 events in a fifth of the data
    folds: _Count = 5
    repeats: _Positive = 1
    seeds: _Positive = 1
    seconds: Mapping[str, float] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        title = self.title or self.name
        object.__setattr__(self, "title", title)
        object.__setattr__(self, "heading", self.heading or title)


@dataclass(frozen=True)
class Study(StudyKeys):
    """A study as data.

    Attributes:
        name: Name on the command line, in ``results.json`` and in links within the page.
        title: Title in the list at a glance.
        heading: Heading of its part of the page.
        data: Data sets to choose one from; empty where the study runs ``cohorts``.
        cohorts: Questions that are all run, if their data are present.
        primary: Questions in the order of preference for the main result, each with the fewest
            subjects that it needs for that.
        hindsight: Questions in the same form, of which the first gets the ``hindsight`` controls;
            if empty, the main result gets them.
        rooted: The data set that ``--root`` names; the chosen one of ``data`` where it is empty.
        records: Default settings of each data set: ``CohortSettings``. A question has further ones.
        signals: Description of the user's own recordings: fields of ``SignalSettings``.
        splits: Units of the split; the first gives the main result. By row, and by recording where
            the first is by session, shows the effect of a leak.
        training: Training settings of each network.
        reference_models: Baseline models to compare the networks with.
        default: Whether the default model of its data (``sequela train auto``) is also run, if the
            study does not name it.
        controls: Models with control runs, ``weighted`` (of the main result) or ``hindsight``. The
            name of a further split lists the only models that are trained on it.
        quick_epochs: The most epochs of a quick study.
        quick_average: The longest memory of the weights of a quick study, which has fewer steps.
        families: Title, baseline and improved model of each pair to compare.
        claims: Claims of a report.
        report: Name of that report, as used within a sentence.
        citation: Author, title and date of that report.
        reported: The report's own numbers, by model.
        reported_columns: Columns of these in the table of models.
        reported_question: The report's own question, on which claims are evaluated as well.
        few: Examples of the rarer class that a test set needs: with fewer, folds are run.
        very_few: Examples of the rarer class below which nothing is concluded.
        folds: Number of folds where examples are few.
        repeats: Number of repeats of the cross-validation.
        seeds: Number of seeds for each split.
        seconds: Training time of each model on one split of the recordings, or of 1,000 stays: the
            order of the runs and the time left are computed from it.
        caveats: Caveats about its data, the worst first: a card shows it, the beginning of the
            study's part the second, and its fold on the data all.
        file: The file that declares it, where it does not ship with the package.
        notes: One or more sentences for a section of the page, by its name: ``models``,
            ``verdicts``, ``leak``, ``cohorts`` or ``training`` (the choice of the settings).
    """

    data: tuple[str, ...] = ()
    cohorts: tuple[Question, ...] = ()
    primary: tuple[tuple[Question, int], ...] = ()
    hindsight: tuple[tuple[Question, int], ...] = ()
    records: Mapping[str | Question, Mapping[str, Any]] = field(default_factory=dict)
    splits: tuple[SplitUnit, ...] = ("subject",)
    training: Mapping[str, TrainingSettings] = field(default_factory=dict)
    reference_models: tuple[str, ...] = ()
    families: tuple[tuple[str, str, str], ...] = ()
    claims: tuple[Claim, ...] = ()
    reported_question: Question | None = None
    file: str = ""

    def questions(self, data: str | None = None) -> tuple[Question, ...]:
        """Return the questions to run: all cohorts, or one data set, by default the first."""
        data_set = data if data in self.data else next(iter(self.data), None)
        return self.cohorts or (((data_set, ""),) if data_set else ())

    def place_of(self, question: Question) -> int:
        """Return the place of a question in the order of the study; others come after."""
        order = [*self.cohorts, *((name, "") for name in self.data)]
        return order.index(question) if question in order else len(order)

    def primary_of(self, subjects: Mapping[Question, int]) -> Question | None:
        """Return the question of the main result: the first where the study has no preference."""
        preferred = (
            question for question, least in self.primary if subjects.get(question, 0) >= least
        )
        return next(preferred, None if self.primary else next(iter(subjects), None))

    def hindsight_of(self, subjects: Mapping[Question, int]) -> Question | None:
        """Return the question that shows the effect of hindsight; see :meth:`primary_of`."""
        preferred = (
            question for question, least in self.hindsight if subjects.get(question, 0) >= least
        )
        return next(preferred, self.primary_of(subjects))

    def key_of(self, question: Question, *, is_primary: bool) -> str:
        """Return the name of a question in ``results.json``."""
        return self.name if is_primary else "-".join(filter(None, (self.name, *question)))

    def folds_for(self, rarer: int | None, split: SplitUnit, *, quick: bool) -> int:
        """Return the number of folds of a run: 0, one split, where examples are enough.

        ``rarer`` is the total of examples of the rarer class; ``None`` if they are not counted
        before the data are read, as for recordings: they are few. One split is enough to show the
        effect of a leak. A quick study has as few folds as possible.
        """
        # A test set is a fifth of the data, or a similar part: enough with `few` events in it.
        if self.shows_leak(split) or (rarer or 0) >= self.few * self.folds:
            return 0
        return _FEWEST_FOLDS if quick else self.folds

    def shows_leak(self, split: SplitUnit) -> bool:
        """Return whether a split only shows the effect of a leak, and gives no result."""
        return split == "row" or (split == "recording" and self.splits[0] == "session")

    def ask(self, data: str, changes: Mapping[str, Any]) -> CohortSettings:
        """Return the settings of a data set, with a user's changes.

        If the user names another task than the study's, its own times are used. If the user names
        inputs, or a task that has its own, exactly those are used. For named inputs, and for a task
        from a file, all tables are read, since any of them may hold the codes.
        """
        usual = {"task": "in-hospital", **self.records.get(data, {})}
        stated = {**self.records.get((data, changes.get("task", usual["task"])), {}), **changes}
        settings = {**usual, **stated}
        # Times such as 24 hours of observation belong to the study's own task. Under another task
        # they would silently change its question.
        if settings["task"] != usual["task"]:
            settings = {n: v for n, v in settings.items() if n in stated or n not in _OF_THE_TASK}
        # Imported here: a run on recordings needs no task.
        from sequela.cohort.task_files import declared_task

        if (
            "inputs" not in changes
            and declared_task(settings["task"], settings.get("declared")).inputs
        ):
            settings.pop("inputs", None)
        if "tables" not in changes and ("inputs" in changes or changes.get("declared")):
            settings.pop("tables", None)
        return CohortSettings.of(**settings)

    def cohort_of(self, question: Question) -> CohortSettings | None:
        """Return the settings of records; ``None`` where the data set has its own classes."""
        data, task = question
        return self.ask(data, {"task": task}) if task else None

    def runs(
        self,
        question: Question,
        *,
        is_primary: bool = True,
        looks_back: bool = True,
        seed: int,
        split_seed: int | None = None,
        quick: bool,
        default: str = "",
        declared: SignalSettings | None = None,
    ) -> dict[str, RunSettings]:
        """Return the runs of a question by the name of their folder, the slowest first.

        The main result (``is_primary``) has runs with weighted classes, and one that
        ``looks_back`` has runs with hindsight. ``default`` is the default model of the data, and
        ``declared`` the description of the user's own recordings.
        """
        # Controls show the effect of weights or of hindsight once, on one question.
        kinds = ["weighted"] if is_primary else []
        if looks_back:
            kinds.append("hindsight")
        more = _QUICK if quick else {}
        cohort = self.cohort_of(question)
        settings_of_runs: dict[str, RunSettings] = {}
        models = [*reversed(tuple(self.training)), *self.reference_models]
        if default and default not in models:
            models.append(default)
        # The slowest come first, so that no core waits at the end for one long run: a study lists
        # its models from simple to large, and hindsight and weighted runs follow their model.
        for model in models:
            for split in self.splits:
                if model not in self.controls.get(split, (model,)):
                    continue
                name = f"{model}.by-{split}" if len(self.splits) > 1 else model
                settings_of_runs[name] = RunSettings.of(
                    model=model,
                    data=question[0],
                    split=split,
                    seed=seed,
                    split_seed=split_seed,
                    cohort=cohort,
                    training=self._training(model, quick=quick),
                    **more,
                    signals=declared,
                )
                settings_of_runs |= self._controls(name, settings_of_runs[name], kinds)
        return settings_of_runs

    def _training(self, model: str, *, quick: bool) -> TrainingSettings:
        usual = MODELS[model].training if model in MODELS else TrainingSettings()
        training = self.training.get(model, usual)  # a default model may not be in the study
        if not quick:
            return training
        epochs = min(training.epochs, self.quick_epochs)
        average = min(training.average, self.quick_average)
        changes = {"epochs": epochs, "average": average, "refit": False, "distil": 0.0}
        return training.model_copy(update=changes)

    def _controls(
        self, name: str, settings: RunSettings, kinds: Sequence[str]
    ) -> dict[str, RunSettings]:
        controls = {}
        models_of = {kind: self.controls.get(kind, ()) for kind in kinds}
        if settings.model in models_of.get("weighted", ()):
            weighted = settings.training.model_copy(update={"class_weights": True})
            controls[f"{name}.weighted"] = settings.model_copy(update={"training": weighted})
        if settings.cohort and settings.model in models_of.get("hindsight", ()):
            back = settings.cohort.model_copy(update={"hindsight": True})
            controls[f"{name}.hindsight"] = settings.model_copy(update={"cohort": back})
        return controls
