"""Tasks as declarations: the outcome, prediction time, inputs, population and its rules."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Literal, Self, get_args

from sequela.cohort.outcomes import (
    DEATH_IN_ANY_STAY,
    DEATH_IN_STAY,
    DEATH_WITHIN_HORIZON,
    ICU_TRANSFER,
    OUTCOMES,
    READMISSION,
    Outcome,
    stay_of_more_than,
)
from sequela.datasets.codes import families_named
from sequela.errors import SettingError, unknown_name
from sequela.plugins import Registry

Trigger = Literal["admission", "ICU admission", "discharge", "entry", "last event"]
History = Literal["record", "stay", "row"]

# Name of a task with times and labels from a file: its trigger and rules are not used.
LABEL_FILE = "labels"
DIAGNOSES = ("ICD9CM", "ICD10CM")


@dataclass(frozen=True)
class Rule:
    """One reason to leave out a candidate.

    Attributes:
        sentence: The text in the flow diagram.
        condition: SQL over the columns of the table ``candidates``; null counts as false.
        of: The kind of candidates: ``stays`` need a hospital stay as candidate, ``subjects`` do
            not.
        why: Why the rule is right although the candidates it leaves out have the outcome more or
            less often than others, as a part of a sentence; empty where the rule is unrelated to
            the outcome. The page shows it, and a test requires that every rule without it is
            unrelated.
        later: Whether the rule uses information from after the prediction time. Such rules are not
            applied to candidates without labels, who are only predicted.
    """

    sentence: str
    condition: str
    of: Literal["stays", "subjects"]
    why: str = ""
    later: bool = False


# The rule for candidates whose follow-up for the outcome was too short.
CENSORED = "censored-before-horizon"
ON_RECORD = "outcome-on-record"  # the rule for candidates with such an event on record already
# The rule that is applied after those of a task.
DUPLICATES = Rule(
    "a second stay of the subject with the same time of prediction",
    "false",
    "subjects",
    "two records of one stay count once, and a death that either of them has counts",
)
_LISTED = tomllib.loads(Path(__file__).with_name("rules.toml").read_text("utf-8"))
RULES: Mapping[str, Rule] = {name: Rule(**fields) for name, fields in _LISTED.items()}
"""The exclusion rules, by name."""


@dataclass(frozen=True)
class Task:
    """One prediction task on a cohort.

    Each candidate (a hospital stay, or a subject) has a trigger. ``hours`` after it is the
    ``prediction_time``; a model sees what was available by then, that moment included, and nothing
    later.

    Attributes:
        name: As on the command line.
        trigger: ``admission`` or ``discharge`` of each stay, or its first ``ICU admission``;
            ``entry`` of a subject, its first ``entry_code``; or its ``last event``.
        hours: From the trigger to the prediction.
        outcome: The outcome and its words.
        horizon_days: Length of the horizon, from the prediction.
        horizons_days: The ends of the intervals of time, from the prediction, rising, of a task
            of the time to an event; ``None`` for the other tasks, which predict whether.
        exclude: Names in :data:`sequela.cohort.tasks.RULES`, applied in this order.
        inputs: Families of codes that a model may see (``ICD9CM``: all codes that begin
            ``ICD9CM//``); all families where empty. Codes that make labels are never among them.
        history: ``record``: all visits so far are steps; ``stay``: only the current one; ``row``:
            only the row of a table with one row per patient.
        entry_code: The code that marks the entry; empty for ``COHORT_ENTRY`` where a subject has
            it, else for the first event after birth.
        hindsight: Keep the same candidates, but read their stay to its end, after the prediction
            too: such inputs were recorded after the outcome was known.
        leaks: How the task reveals the outcome to the model, if it does; every output shows it.
    """

    name: str
    trigger: Trigger
    outcome: Outcome
    hours: float = 0.0
    horizon_days: float | None = None
    horizons_days: tuple[float, ...] | None = None
    exclude: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    history: History = "record"
    entry_code: str = ""
    hindsight: bool = False
    leaks: str = ""

    def __post_init__(self) -> None:
        for field, kind in (("trigger", Trigger), ("history", History)):
            if getattr(self, field) not in get_args(kind):
                raise unknown_name(f"{field} of a task", getattr(self, field), get_args(kind))
        self._check_rules()
        self._check_kind()
        if self.hours < 0:
            raise SettingError(f"hours must be at least 0, not {self.hours:g}")
        # Several horizons say how far the outcome is looked for; a single one has no place.
        if self.horizons_days is not None:
            self._check_horizons(self.horizons_days)
        elif self.outcome.horizon != (self.horizon_days is not None):
            raise SettingError(
                "horizon_days and an outcome within a horizon go together; the outcome of "
                f"{self.name} is '{self.label}'"
            )
        if self.horizon_days is not None and self.horizon_days <= 0:
            raise SettingError(f"horizon_days must be more than 0, not {self.horizon_days:g}")

    def _check_horizons(self, days: tuple[float, ...]) -> None:
        # The intervals begin at the prediction, and each ends where the next begins.
        if not days or days[0] <= 0 or any(a >= b for a, b in pairwise(days)):
            raise SettingError(
                f"horizons_days are {', '.join(f'{day:g}' for day in days) or 'empty'}: expected "
                "days above 0 that rise, such as 365, 1826"
                # A discharge is the end of the stay, so nothing of the stay is later.
            )
        if not self.outcome.time_expression:
            raise SettingError(
                f"the outcome of {self.name} is '{self.label}', whose time is not known: leave "
                "the horizons out, or choose an outcome with a time, such as 'death within the "
                "horizon'"
            )
        if self.hindsight:
            raise SettingError("--hindsight and --horizons do not go together: leave one out")

    def _check_kind(self) -> None:
        """Check that the kind of candidates (stays or subjects) fits trigger, outcome and rules."""
        if self.outcome.of == "stays" and not self.of_stays:
            raise SettingError(f"'{self.label}' needs a trigger of stays, such as 'admission'")
        if self.outcome.of == "subjects" and self.of_stays:
            raise SettingError(f"'{self.label}' needs a trigger of subjects, as 'last event'")
        if self.hindsight and not (self.of_stays and self.trigger != "discharge"):
            raise SettingError(
                "--hindsight needs a task that counts from an admission, such as in-hospital: "
                "leave it out, or choose such a task"
            )

    def _check_rules(self) -> None:
        for rule in self.exclude:
            if rule not in RULES:
                raise unknown_name("exclusion rule", rule, RULES)
            if RULES[rule].of == "stays" and not self.of_stays:
                raise SettingError(
                    f"rule '{rule}' is about hospital stays, and {self.name} has one candidate a "
                    "subject: leave the rule out"
                )

    @property
    def label(self) -> str:
        """The outcome in words."""
        return self.outcome.label

    @cached_property
    def families(self) -> frozenset[str]:
        """The families of ``inputs`` by their canonical names, even if named by an alias."""
        return families_named(self.inputs)

    @property
    def of_stays(self) -> bool:
        """True if the candidates are hospital stays; else they are subjects."""
        return self.trigger in {"admission", "ICU admission", "discharge"}

    @property
    def example(self) -> str:
        """The kind of one example, in a word.

        Example:
            >>> in_hospital().example, landmark().example
            ('stay', 'patient')
        """
        if self.name == LABEL_FILE:
            return "example"
        if self.history == "row":
            return "row"
        return "stay" if self.of_stays else "patient"

    @property
    def candidates(self) -> str:
        """The kind of the candidates, in words."""
        if self.history == "row":
            return "rows"
        return "hospital stays" if self.of_stays else "subjects"

    @property
    def needs_spans(self) -> bool:
        """True if the cohort needs the beginning and end of a subject's record."""
        return not self.of_stays or bool(self.horizon_days or self.horizons_days)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the examples; of times to an event, the intervals of each kind of event.

        Example:
            >>> timed(landmark(), [365, 1826]).classes
            ('survived beyond day 1826', 'died by day 365', 'died from day 365 to 1826')
        """
        if self.horizons_days is None:
            return self.outcome.classes
        last, none = f"{self.horizons_days[-1]:g}", self.outcome.classes[0]
        events = self.outcome.classes[1], self.outcome.rival
        return (
            f"{none} beyond day {last}",
            *chain.from_iterable(map(self._intervals, filter(None, events))),
        )

    def _intervals(self, event: str) -> list[str]:
        """Return the classes of one kind of event, by the interval of time."""
        first, *later = self.horizons_days or (0.0,)
        names = [f"{event} by day {first:g}"]
        starts = pairwise((first, *later))
        return names + [f"{event} from day {start:g} to {end:g}" for start, end in starts]

    def describe(self) -> str:
        """Describe the task in one sentence.

        Example:
            >>> in_hospital().describe()
            'death in the stay, predicted 24 hours after each admission from data available by then'
        """
        when = f"{self.hours:g} hours after" if self.hours else "at"
        inputs = "data available by then"
        if self.hindsight:
            inputs = "the whole stay, including data from after the prediction"
        if self.name == LABEL_FILE:
            return f"the labels of a file, each predicted at its own time from {inputs}"
        if self.history == "row":
            return f"{self.label}, predicted from the other cells of its row"
        first = "the first ICU admission of each stay"
        trigger = f"each {self.trigger}" if self.of_stays else f"the {self.trigger} of each subject"
        trigger = first if self.trigger == "ICU admission" else trigger
        days = self.horizon_days
        what = self.label if days is None else f"{self.outcome.one} within {days:g} days"
        if self.horizons_days is not None:
            ends = ", ".join(f"{day:g}" for day in self.horizons_days)
            what = f"the time to {self.outcome.one} (by day {ends})"
            if self.outcome.rival:
                what += f", with the competing event “{self.outcome.rival}”"
        sentence = f"{what}, predicted {when} {trigger} from {inputs}"
        return f"{sentence}; LEAKS: {self.leaks}" if self.leaks else sentence

    def to_dict(self) -> dict[str, Any]:
        """Return the declaration for a run's ``config.toml`` or JSON, without unset fields."""
        values: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "outcome":
                values["label"] = self.label
            elif value is not None:
                values[field.name] = list(value) if isinstance(value, tuple) else value
        if OUTCOMES.get(self.label) != self.outcome:  # else the label names it
            values["outcome"] = self.outcome.to_dict()
        return values

    @classmethod
    def from_dict(cls, declaration: Mapping[str, object]) -> Self:
        """Restore the task that :meth:`to_dict` wrote, or that was declared by hand.

        Example:
            >>> Task.from_dict(landmark().to_dict()) == landmark()
            True
        """
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in declaration.items()
        }
        label = values.pop("label", None)
        # A custom outcome is written out in full; one of the package is named by its label.
        if isinstance(values.get("outcome"), Mapping):
            values["outcome"] = Outcome.from_dict(values["outcome"])
        elif label is not None:
            values["outcome"] = OUTCOMES.lookup(label)
        try:
            return cls(**values)
        except TypeError as error:
            raise SettingError(f"not a task: {error}") from error


# The rules that every task of hospital stays applies first, in this order.
OF_STAYS = (
    "no-trigger-time", "minors", "organ-donors", "negative-stays", "deaths-before-admission",
)  # fmt: skip
_AFTER_A_STAY = (*OF_STAYS, "blank-status", "died-in-hospital", "dead-at-prediction")
# The usual rules of a task of subjects.
OF_SUBJECTS = ("no-trigger-time", "minors", "dead-at-prediction", "follow-up-ended")


def in_hospital(hours: float = 24) -> Task:
    """Predict death in the stay, ``hours`` after its admission; 0 predicts at admission."""
    rules = (*OF_STAYS, "blank-status", "shorter-than-window")
    return Task("in-hospital", "admission", DEATH_IN_STAY, hours=hours, exclude=rules)


def with_hindsight(task: Task) -> Task:
    """Return the task with the whole stay as input, to show how much that inflates the score."""
    leaks = "it reads data recorded up to the end of the stay, when the outcome was known"
    return replace(task, hindsight=True, leaks=leaks)


def timed(task: Task, days: Sequence[float]) -> Task:
    """Return the task with the time to its event, by some days, instead of whether it comes.

    Nobody is left out because follow-up ended before a horizon: until then they count.
    """
    # Within a stay, its end ends the time; otherwise follow-up must last beyond the prediction.
    ended = () if task.of_stays and task.horizon_days is None else ("follow-up-ended",)
    rules = tuple(rule for rule in task.exclude if rule not in (CENSORED, *ended))
    return replace(task, horizon_days=None, horizons_days=tuple(days), exclude=(*rules, *ended))


def post_discharge(days: float = 365) -> Task:
    """Predict death within ``days`` of a discharge alive."""
    rules = (*_AFTER_A_STAY, "censored-before-horizon")
    return Task(
        "post-discharge", "discharge", DEATH_WITHIN_HORIZON, horizon_days=days, exclude=rules
    )


def landmark(after_days: float = 365, horizon_days: float = 1826, entry_code: str = "") -> Task:
    """Predict death within ``horizon_days`` of the day ``after_days`` after a subject's entry."""
    return Task(
        name="landmark",
        trigger="entry",
        hours=24 * after_days,
        outcome=DEATH_WITHIN_HORIZON,
        horizon_days=horizon_days,
        entry_code=entry_code,
        exclude=(*OF_SUBJECTS, "censored-before-horizon"),
    )


def readmission(days: float = 30) -> Task:
    """Predict an admission within ``days`` of a discharge alive, whatever its reason."""
    rules = (*_AFTER_A_STAY, "overlapping-stays", "censored-before-horizon")
    return Task("readmission-30d", "discharge", READMISSION, horizon_days=days, exclude=rules)


def length_of_stay(days: float = 7, hours: float = 24) -> Task:
    """Predict a stay of more than ``days``, ``hours`` after its admission."""
    outcome, rules = stay_of_more_than(days), (*OF_STAYS, "no-discharge", "shorter-than-window")
    return Task("length-of-stay-7d", "admission", outcome, hours=hours, exclude=rules)


def icu_transfer(hours: float = 24) -> Task:
    """Predict the first admission to intensive care later in the stay."""
    rules = (*OF_STAYS, "no-discharge", "shorter-than-window", "already-in-icu")
    return Task("icu-transfer", "admission", ICU_TRANSFER, hours=hours, exclude=rules)


def report_2019(outcome: Outcome = DEATH_IN_ANY_STAY) -> Task:
    """Return the 2019 report's task: all visits of a patient, with the patient's label.

    Its inputs include the diagnoses of the visit in which the patient dies, which are assigned
    after the death. It is kept only to reproduce the report.
    """
    return Task(
        name="report-2019",
        trigger="last event",
        outcome=outcome,
        inputs=DIAGNOSES,
        exclude=("no-trigger-time", "blank-status"),
        leaks="it reads the diagnoses of the last visit, coded after the outcome is known",
    )


def _check(name: str, task: Task) -> None:
    TASKS.check_new(name, reserved=[LABEL_FILE])
    # Files of runs name an outcome of the package by its label alone.
    if OUTCOMES.get(task.label, task.outcome) != task.outcome:
        raise SettingError(
            f"the outcome of task '{name}' has the label '{task.label}', which is that of "
            "another outcome: give it a label of its own"
        )


TASKS = Registry("task", Task, _check)
_DEATH = (in_hospital, post_discharge, landmark)
for _task in (*_DEATH, readmission, length_of_stay, icu_transfer, report_2019):
    TASKS.add(_task())


def task_named(name: str, **changes: Any) -> Task:
    """Return a task by its name, with changed fields, such as ``hours=48``."""
    task = TASKS.lookup(name)
    try:
        return replace(task, **changes)
    except TypeError as error:
        raise SettingError(f"{name} does not take these settings: {error}") from error
