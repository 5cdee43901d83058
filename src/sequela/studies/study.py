"""A study as data: what is run on which data, what it claims, and what must be said of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sequela.cohort.task_files import task_said
from sequela.config import (
    CohortSettings,
    RunSettings,
    SignalSettings,
    SplitUnit,
    TrainingSettings,
)
from sequela.models.registry import MODELS
from sequela.studies.claims import Claim

Question = tuple[str, ...]
"""A data set and the task asked of it; no task where the data set has classes of its own. A third
part names a variant, which is asked with other settings (see ``Study.asked``)."""
_FEWEST_FOLDS = 2
_OF_THE_TASK = ("hours", "from_icu", "declared")
"""What ``Study.asked`` says of its own task only."""


@dataclass(frozen=True)
class Study:
    """A study as data.

    Attributes:
        name: On the command line, in ``results.json`` and in links within the page.
        title: In the list at a glance.
        heading: Of its part of the page.
        data: Data sets of which one is chosen; empty where the study runs ``cohorts``.
        cohorts: Questions that are run side by side, as far as their data are present.
        primary: Questions in the order of preference for the main result, each with the fewest
            subjects that it needs for that.
        hindsight: Questions in the same form, of which the first has the ``hindsight`` controls;
            where it is empty, the main result has them.
        rooted: The data set that ``--root`` names; the chosen one of ``data`` where it is empty.
        asked: What is asked of each data set unless a user says otherwise: ``CohortSettings``. A
            question, or a variant of one, has what is asked of it beyond that.
        signals: What recordings of one's own are: fields of ``SignalSettings``.
        splits: Units of the split; the first gives the main result. By row, and by recording where
            the first is by session, shows what a leak adds.
        training: How each network is trained.
        reference_models: Simple models to compare the networks with.
        default: Whether the default model of its data (``sequela train auto``) is run beside its
            own, where it is none of them.
        controls: Runs beside the results, ``weighted`` (of the main one) or ``hindsight``, of which
            models.
        quick_epochs: The most epochs of a quick study.
        quick_average: The longest memory of the weights of a quick study, which has fewer steps.
        families: Title, baseline and improved model of each pair to be judged.
        claims: What a report says.
        report: That report, as it stands within a sentence.
        reported: The report's own numbers, by model.
        reported_columns: Those shown in the table of models.
        reported_question: The report's own question, on which claims are judged as well.
        few: Examples of the rarer class that a held-out part needs: with fewer, folds are run.
        very_few: Examples of the rarer class below which nothing is concluded.
        folds: How many folds are run where examples are few.
        repeats: How many times the cross-validation is repeated.
        seeds: With how many seeds each split is trained.
        caveats: Sentences that are true of its data, the worst first: a card shows it, the
            beginning of the study's part the second, and its fold on the data all.
        file: The file that declares it, where it does not ship with the package.
        notes: A sentence or more for a section of the page, by its name: ``models``, ``verdicts``,
            ``leak``, ``cohorts`` or ``training`` (how the settings were chosen).
    """

    name: str
    title: str
    heading: str
    data: tuple[str, ...] = ()
    cohorts: tuple[Question, ...] = ()
    primary: tuple[tuple[Question, int], ...] = ()
    hindsight: tuple[tuple[Question, int], ...] = ()
    rooted: str = ""
    asked: Mapping[str | Question, Mapping[str, Any]] = field(default_factory=dict)
    signals: Mapping[str, Any] = field(default_factory=dict)
    splits: tuple[SplitUnit, ...] = ("subject",)
    training: Mapping[str, TrainingSettings] = field(default_factory=dict)
    reference_models: tuple[str, ...] = ()
    default: bool = False
    controls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    quick_epochs: int = 4
    quick_average: float = 0.98
    families: tuple[tuple[str, str, str], ...] = ()
    claims: tuple[Claim, ...] = ()
    report: str = "the report"
    reported: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)
    reported_columns: tuple[str, ...] = ()
    reported_question: Question | None = None
    few: int = 200
    very_few: int = 50
    folds: int = 5
    repeats: int = 1
    seeds: int = 1
    caveats: tuple[str, ...] = ()
    file: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)

    def questions(self, data: str | None = None) -> tuple[Question, ...]:
        """What is run: all cohorts, or one data set: the chosen one, or else the first."""
        chosen = data if data in self.data else next(iter(self.data), None)
        return self.cohorts or (((chosen, ""),) if chosen else ())

    def place_of(self, question: Question) -> int:
        """Where a question stands in the order of the study; others come after."""
        known = [*self.cohorts, *((name, "") for name in self.data)]
        return known.index(question) if question in known else len(known)

    def primary_of(self, subjects: Mapping[Question, int]) -> Question | None:
        """The question that is the main result: the first where the study prefers none.

        Args:
            subjects: How many (or how many examples) each question that is present has.
        """
        preferred = (one for one, least in self.primary if subjects.get(one, 0) >= least)
        return next(preferred, None if self.primary else next(iter(subjects), None))

    def hindsight_of(self, subjects: Mapping[Question, int]) -> Question | None:
        """The question that shows what looking back on a stay is worth; see :meth:`primary_of`."""
        preferred = (one for one, least in self.hindsight if subjects.get(one, 0) >= least)
        return next(preferred, self.primary_of(subjects))

    def variant_of(self, question: Question, asked: CohortSettings) -> Question:
        """A question, or the variant of it whose settings these are."""
        variants = (one for one in self.cohorts if one[:2] == question and one != question)
        alike = (one for one in variants if _says(asked, self.asked[one]))
        return next(alike, question)

    def key_of(self, question: Question, *, is_primary: bool) -> str:
        """The name of a question in ``results.json``."""
        return self.name if is_primary else "-".join(filter(None, (self.name, *question)))

    def folds_for(self, rarer: int | None, split: SplitUnit, *, quick: bool) -> int:
        """How many folds a run is judged on: 0, one split, where examples are enough.

        Args:
            rarer: Examples of the rarer class in all; ``None`` where they are not counted before
                the data are read, as recordings are: they are few.
            split: Its unit. One split is enough to show what a leak adds.
            quick: Whether to run as few folds as can be.
        """
        if self.shows_leak(split) or (rarer or 0) >= self.few * self.folds:
            return 0
        return _FEWEST_FOLDS if quick else self.folds

    def shows_leak(self, split: SplitUnit) -> bool:
        """Whether a split is there to show what a leak adds, and gives no result."""
        return split == "row" or (split == "recording" and self.splits[0] == "session")

    def ask(self, data: str, said: Mapping[str, Any], variant: str = "") -> CohortSettings:
        """What is asked of a data set, with what a user says of it.

        Who names another task than the study's is given that task's own times. Who names a task
        that has its own inputs, or names inputs, is given just those. All tables are read for
        inputs that were named, and for a task from a file: any of them may hold its codes.

        Raises:
            SettingError: If something said is not allowed.
            UnknownNameError: If no task has the name that was said.
        """
        usual = {"task": "in-hospital", **self.asked.get(data, {})}
        question = (data, said.get("task", usual["task"]))
        own = {**self.asked.get(question, {}), **self.asked.get((*question, variant), {}), **said}
        asked = {**usual, **own}
        if asked["task"] != usual["task"]:
            asked = {n: v for n, v in asked.items() if n in own or n not in _OF_THE_TASK}
        if "inputs" not in said and task_said(asked["task"], asked.get("declared")).inputs:
            asked.pop("inputs", None)
        if "tables" not in said and ("inputs" in said or said.get("declared")):
            asked.pop("tables", None)
        return CohortSettings.of(**asked)

    def cohort_of(self, question: Question) -> CohortSettings | None:
        """What is asked of records; ``None`` where the data set has classes of its own."""
        data, task, *variant = question
        return self.ask(data, {"task": task}, *variant) if task else None

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
        """The runs of a question by the name of their folder, those that take longest first.

        Args:
            question: Of the study.
            is_primary: Whether it is the main result, which has runs with weighted classes.
            looks_back: Whether it has runs with later information.
            seed: Of all runs.
            split_seed: Of the split, where that is not the seed.
            quick: Whether they are short.
            default: The default model of the data, which is run on the first split alone.
            declared: What recordings of one's own are, with what is declared beside them.
        """
        kinds = ("weighted",) * is_primary + ("hindsight",) * looks_back
        cohort = self.cohort_of(question)
        named: dict[str, RunSettings] = {}
        own = (*reversed(tuple(self.training)), *self.reference_models)
        for model in (*own, *(default,) * bool(default and default not in own)):
            for split in self.splits if model in own else self.splits[:1]:
                name = model + f".by-{split}" * (len(self.splits) > 1)
                named[name] = RunSettings.of(
                    model=model,
                    data=question[0],
                    split=split,
                    seed=seed,
                    split_seed=split_seed,
                    cohort=cohort,
                    training=self._training(model, quick=quick),
                    signals=declared,
                )
                named |= self._controls(name, named[name], kinds)
        return named

    def _training(self, model: str, *, quick: bool) -> TrainingSettings:
        usual = MODELS[model].training if model in MODELS else TrainingSettings()
        training = self.training.get(model, usual)
        if not quick:
            return training
        epochs = min(training.epochs, self.quick_epochs)
        average = min(training.average, self.quick_average)
        return training.model_copy(update={"epochs": epochs, "average": average})

    def _controls(
        self, name: str, settings: RunSettings, kinds: tuple[str, ...]
    ) -> dict[str, RunSettings]:
        """A run with weighted classes, and one with later information, if the study has them."""
        found = {}
        of = {kind: self.controls.get(kind, ()) for kind in kinds}
        if settings.model in of.get("weighted", ()):
            weighted = settings.training.model_copy(update={"class_weights": True})
            found[f"{name}.weighted"] = settings.model_copy(update={"training": weighted})
        if settings.cohort and settings.model in of.get("hindsight", ()):
            back = settings.cohort.model_copy(update={"hindsight": True})
            found[f"{name}.hindsight"] = settings.model_copy(update={"cohort": back})
        return found


def _says(asked: CohortSettings, settings: Mapping[str, Any]) -> bool:
    return all(getattr(asked, name) == value for name, value in settings.items())
