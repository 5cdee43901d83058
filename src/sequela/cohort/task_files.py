"""Custom tasks, declared in a TOML file."""

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sequela.cohort.outcomes import OUTCOMES, Outcome, stay_of_more_than
from sequela.cohort.tasks import (
    CENSORED,
    OF_STAYS,
    OF_SUBJECTS,
    ON_RECORD,
    TASKS,
    History,
    Task,
    Trigger,
    task_named,
    timed,
)
from sequela.datasets.codes import DEATH
from sequela.errors import DataError, SequelaError, SettingError
from sequela.formats import opened

SUFFIX = ".toml"
_STAY = re.compile(r"a stay of more than ([0-9]{1,4}(?:\.[0-9]{1,4})?) days")
_EXPECTED = "a task in TOML (docs/tasks.md)"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeclaredOutcome(_Strict):
    """The outcome of a declared task: codes after the prediction time."""

    one: str = Field(min_length=1)
    codes: tuple[str, ...] = Field(min_length=1)
    many: str = ""
    classes: tuple[str, str] | None = None

    def outcome(self, days: object, *, of_stays: bool, of_row: bool = False) -> Outcome:
        """Build the outcome, within the stay, within horizons, or in a row of a table."""
        within = "the stay" if days is None else "the horizon"
        dies = any(code.partition("//")[0] == DEATH for code in self.codes)
        # Death ends the time at risk of any other event, so it competes with it.
        rival = ("", "") if days is None or dies else ("died without it", "death_by")
        return Outcome(
            label=self.one if of_row else f"{self.one} within {within}",
            one=self.one,
            many=self.many or f"examples with {self.one}",
            classes=self.classes or (f"no {self.one}", self.one),
            events=self.codes,
            within="stay" if days is None else "horizon",
            of="stays" if of_stays else "subjects",
            horizon=days is not None,
            rival=rival[0],
            rival_at=rival[1],
        )


class DeclaredTask(_Strict):
    """A declared task: see :class:`sequela.cohort.tasks.Task`."""

    name: str
    trigger: Trigger
    outcome: DeclaredOutcome | str
    hours: float = Field(default=0, ge=0)
    horizon_days: float | None = Field(default=None, gt=0)
    horizons_days: tuple[float, ...] | None = Field(default=None, min_length=1)
    rules: tuple[str, ...] | None = None
    inputs: tuple[str, ...] = ()
    history: History = "record"
    entry_code: str = ""

    def task(self) -> Task:
        """Build the task."""
        TASKS.check_new(self.name)
        # Other triggers are moments of a subject, not of a stay.
        of_stays = self.trigger not in {"entry", "last event"}
        if self.horizons_days and self.horizon_days:
            raise SettingError("horizon_days and horizons_days do not go together: leave one out")
        last = self.horizons_days[-1] if self.horizons_days else self.horizon_days
        outcome = (
            self.outcome.outcome(last, of_stays=of_stays, of_row=self.history == "row")
            if isinstance(self.outcome, DeclaredOutcome)
            else _outcome_named(self.outcome)
        )
        # A file that lists rules has exactly these; otherwise the usual ones for its trigger.
        exclude = self._usual_rules() if self.rules is None else self.rules
        same = self.model_dump(exclude={"outcome", "rules", "horizon_days", "horizons_days"})
        # An outcome within the stay has times to it, but no horizon of its own.
        if self.horizons_days and not outcome.horizon:
            last = None
        task = Task(outcome=outcome, exclude=exclude, horizon_days=last, **same)
        return timed(task, self.horizons_days) if self.horizons_days else task

    def _usual_rules(self) -> tuple[str, ...]:
        rules: tuple[str, ...] = OF_STAYS
        if self.trigger in {"entry", "last event"}:
            rules = OF_SUBJECTS
        # A task within the stay needs to know that the stay lasted beyond the prediction.
        if self.trigger in {"admission", "ICU admission"}:
            rules += ("no-discharge", "shorter-than-window")
        # Only a discharge alive begins the time at home.
        if self.trigger == "discharge":
            rules += ("died-in-hospital", "dead-at-prediction")
        # Whoever has had the event is not at risk of a first one.
        if isinstance(self.outcome, DeclaredOutcome):
            rules += (ON_RECORD,)
        # Without enough follow-up it is not known whether the outcome came.
        if self.horizon_days is not None:
            rules += (CENSORED,)
        return rules


def _outcome_named(words: str) -> Outcome:
    """Look up an outcome by its words; a stay may be of more than any number of days."""
    if days := _STAY.fullmatch(words):
        return stay_of_more_than(float(days[1]))
    return OUTCOMES.lookup(words)


def declared_task(name: str, declared: str | None = None) -> Task:
    """Return the task of a name, or the one that a file declared."""
    if declared is None:
        return task_named(name)
    try:
        return DeclaredTask.model_validate_json(declared).task()
    except ValidationError as error:
        words = error.errors()[0]["msg"]
        raise SettingError(f"the declaration is not a task ({words}): train again") from error


def read_task(place: Path) -> tuple[str, str]:
    """Read the name of the task in a file, and its declaration as JSON."""
    declared = opened.declaration(place, DeclaredTask, _EXPECTED)
    try:
        return declared.task().name, declared.model_dump_json(exclude_defaults=True)
    except SequelaError as error:
        raise DataError(f"{place}: {error}") from error
