"""The outcome of a task: how it is found, the names of its classes, and what reveals it early."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self, get_args

from sequela.datasets.codes import DEATH, EXPIRED, families_named
from sequela.errors import SettingError, unknown_name
from sequela.plugins import Registry

Span = Literal["stay", "horizon"]
Candidates = Literal["stays", "subjects", "either"]


@dataclass(frozen=True)
class Outcome:
    """The definition of a positive example, and all words for it.

    SQL is over the columns of the table ``candidates``: those of ``stays`` and ``subjects`` (see
    :func:`sequela.cohort.stays.create_stays`), ``prediction_time``, ``horizon``, ``death_by``.

    Attributes:
        label: The definition in words: ``death in the stay``.
        one: The event, for one: ``death``.
        many: The same for several: ``deaths``.
        classes: Names of the negative and the positive class: ``survived``, ``died``.
        found: SQL that is true of a positive candidate; empty where ``events`` decide.
        events: Families or beginnings of codes (``ICD10CM//I50*``): one of them after the
            prediction makes the example positive, within the stay or the horizon.
        within: The period in which ``events`` are looked for.
        of: Whether candidates must be hospital stays, or subjects.
        horizon: Whether the task sets how many days to look ahead.
        needs_order: Whether the order of one subject's stays must be known.
        known: SQL that is true where the outcome is on record by the prediction, over ``a``: a
            label (``subject_id, prediction_time, boolean_value``) with the stay that began last
            (``admitted, discharged, icu_admitted``) and ``since``, before which nothing counts.
        known_words: The time of such labels: ``after the death is on record``.
        known_class: The labels that ``known`` is checked for: ``positive`` or all.
        leave_out: Whom to leave out then: ``who has died``.
        competing: SQL that is true of negative candidates with a competing event, after which the
            outcome is impossible. They are included, and the flow counts them.
        competing_words: The competing event in words.
        at: SQL of the time of the first event after the prediction, for tasks of times to an event;
            empty where ``events`` decide. Null where there was none.
        rival: The competing event of such tasks, for one: ``discharged alive``; empty for none.
        rival_at: SQL of its time, null where there was none.
        assumed: The assumption made for data without any end of follow-up.
    """

    label: str
    one: str
    many: str
    classes: tuple[str, str]
    found: str = ""
    events: tuple[str, ...] = ()
    within: Span = "stay"
    of: Candidates = "either"
    horizon: bool = False
    needs_order: bool = False
    known: str = ""
    known_words: str = "after the outcome is on record"
    known_class: Literal["positive", "any"] = "positive"
    leave_out: str = "those whose outcome is known"
    competing: str = ""
    competing_words: str = ""
    at: str = ""
    rival: str = ""
    rival_at: str = ""
    assumed: str = (
        "subjects without such an event on record count as having had none by the horizon"
    )

    def __post_init__(self) -> None:
        for field, kind in (("within", Span), ("of", Candidates)):
            if getattr(self, field) not in get_args(kind):
                raise unknown_name(f"{field} of an outcome", getattr(self, field), get_args(kind))
        if self.found and self.events:
            raise SettingError(f"outcome '{self.label}' is found by SQL or by events, not by both")
        if len(set(self.classes)) != 2:  # noqa: PLR2004
            raise SettingError(
                f"outcome '{self.label}' has the classes {', '.join(self.classes)}: expected two "
                "names, the negative one first"
            )
        if self.events and self.within == "horizon" and not self.horizon:
            raise SettingError(f"outcome '{self.label}' looks for events within a horizon: set it")
        if self.events and self.within == "stay" and self.of != "stays":
            raise SettingError(f"outcome '{self.label}' looks for events in stays: set of='stays'")

    @cached_property
    def families(self) -> frozenset[str]:
        # Other writers' names of a family make the same outcome.
        """The families that ``events`` name, by canonical name: codes under an alias count too."""
        return families_named(self.events)

    @property
    def label_expression(self) -> str:
        """SQL of the label over the table ``ahead``, from which ``candidates`` is made."""
        return self.found or (_EVENTS[self.within] if self.events else "NULL::BOOLEAN")

    @property
    def time_expression(self) -> str:
        """SQL of the time of the first event over the table ``ahead``; empty if there is none."""
        return self.at or (_TIME_OF_EVENTS if self.events else "")

    @property
    def known_expression(self) -> str:
        """SQL of ``known``, including events of the outcome that are already on record."""
        return self.known or (_EVENTS_ON_RECORD if self.events else "false")

    def to_dict(self) -> dict[str, object]:
        """Return the outcome for a run's files."""
        optional = ("at", "rival", "rival_at")  # not written by earlier versions
        values = {k: v for k, v in asdict(self).items() if v or k not in optional}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, record: Mapping[str, object]) -> Self:
        """Restore the outcome that :meth:`to_dict` wrote."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in record.items()
        }
        try:
            return cls(**values)
        except TypeError as error:
            raise SettingError(f"not an outcome: {error}") from error


# ``outcome_events`` has the subject, stay and time of each event that makes an outcome true.
_EVENTS: Mapping[Span, str] = {
    "stay": """EXISTS (
        SELECT 1 FROM outcome_events AS e
        WHERE e.subject_id = ahead.subject_id AND e.time > ahead.prediction_time AND (
            e.visit_id = ahead.visit_id OR (e.visit_id IS NULL AND e.time <= ahead.discharged)
        )
    )""",
    "horizon": """EXISTS (
        SELECT 1 FROM outcome_events AS e
        WHERE e.subject_id = ahead.subject_id
            AND e.time > ahead.prediction_time AND e.time <= ahead.horizon
    )""",
}
_TIME_OF_EVENTS = """(
    SELECT min(e.time) FROM outcome_events AS e
    WHERE e.subject_id = ahead.subject_id AND e.time > ahead.prediction_time
)"""
_EVENTS_ON_RECORD = """EXISTS (
    SELECT 1 FROM outcome_events AS e
    WHERE e.subject_id = a.subject_id AND e.time <= a.prediction_time AND e.time >= a.admitted
)"""

# Where the order of stays is unknown, only the current stay counts. A death dated without a time is
# known at the end of its day.
_DEATH_ON_RECORD = f"""EXISTS (
    SELECT 1 FROM marks AS m
    WHERE m.subject_id = a.subject_id AND (m.family = '{DEATH}' OR m.code = '{EXPIRED}')
        AND CASE WHEN m.family = '{DEATH}' AND m.time = date_trunc('day', m.time)
            THEN m.time + INTERVAL 1 DAY - INTERVAL 1 MICROSECOND ELSE m.time END
            <= a.prediction_time
        AND (a.since IS NULL OR m.time >= a.since)
)"""


def _death(label: str, sql: str, candidates: Candidates = "either") -> Outcome:
    return Outcome(
        label,
        "death",
        "deaths",
        ("survived", "died"),
        sql,
        of=candidates,
        known=_DEATH_ON_RECORD,
        known_words="after the death is on record",
        leave_out="patients who have died",
        assumed="subjects without a death on record count as alive at the horizon",
    )


DEATH_IN_STAY = replace(
    _death("death in the stay", "expired", "stays"),
    # Some hospitals date a death after its discharge: the stay ends at the earlier time.
    at="CASE WHEN expired THEN least(coalesce(death_by, discharged), discharged) END",
    rival="discharged alive",
    rival_at="CASE WHEN NOT expired THEN discharged END",
)
DEATH_WITHIN_HORIZON = replace(
    _death(
        "death within the horizon",
        "coalesce(death_by > prediction_time AND death <= horizon, false)",
    ),
    horizon=True,
    at="death_by",
)
DEATH_IN_ANY_STAY = _death("death in any stay", "died_in_a_stay", "subjects")
ANY_DEATH = _death("any death", "death IS NOT NULL")
READMISSION = Outcome(
    "readmission within the horizon",
    "readmission",
    "readmissions",
    ("not readmitted", "readmitted"),
    "coalesce(next_admission > prediction_time AND next_admission <= horizon, false)",
    of="stays",
    horizon=True,
    needs_order=True,
    known="a.prediction_time < a.discharged",
    known_words="inside a stay, when it is known whether somebody is in hospital",
    leave_out="patients who are in hospital",
    # Death competes with the event: it makes it impossible, and is not the end of follow-up.
    competing="NOT label AND coalesce(death_by <= horizon, false)",
    competing_words="died within the horizon without a readmission, and count as not readmitted",
    assumed="subjects without an admission on record by the horizon count as not readmitted",
    at="CASE WHEN next_admission > prediction_time THEN next_admission END",
    rival="died before a readmission",
    rival_at="death_by",
)
ICU_TRANSFER = Outcome(
    "transfer to intensive care in the stay",
    "transfer to intensive care",
    "transfers to intensive care",
    ("not transferred", "transferred"),
    "coalesce(icu_admitted > prediction_time, false)",
    of="stays",
    known="a.icu_admitted <= a.prediction_time",
    known_words="after the admission to intensive care is on record",
    leave_out="patients who are or were in intensive care",
    competing="NOT label AND coalesce(expired, false)",
    competing_words="died in the stay outside of intensive care, and count as not transferred",
    at="CASE WHEN icu_admitted > prediction_time THEN icu_admitted END",
    rival="stay ended without a transfer",
    rival_at="discharged",
)


def stay_of_more_than(days: float) -> Outcome:
    """Return the outcome of a stay longer than this many days, counted from its admission."""
    # In microseconds, so that a fraction of a day is exact.
    length = f"to_microseconds({round(days * 86_400_000_000)})"
    return Outcome(
        f"a stay of more than {days:g} days",
        f"stay of more than {days:g} days",
        f"stays of more than {days:g} days",
        (f"at most {days:g} days", f"more than {days:g} days"),
        f"discharged > admitted + {length}",
        of="stays",
        known=f"a.prediction_time >= least(a.discharged, a.admitted + {length})",
        known_words="after the discharge or the last of these days, when the length is known",
        known_class="any",
        leave_out="stays whose length is known",
        competing="NOT label AND coalesce(expired, false)",
        competing_words=f"died in the stay by then, and count as at most {days:g} days",
    )


def of_labels(name: str = "") -> Outcome:
    """Return the outcome of a label file.

    ``name`` is an adjective, such as ``readmitted``. Without it the words are neutral.
    """
    words = ("the label of a file", "event", "events", ("no event", "event"))
    if name:
        words = (name, name, name, (f"not {name}", name))
    # A positive label after a death cannot be about the future.
    death = {field: getattr(ANY_DEATH, field) for field in ("known", "known_words", "leave_out")}
    return Outcome(*words, **death)


_DEATHS = (DEATH_IN_STAY, DEATH_WITHIN_HORIZON, DEATH_IN_ANY_STAY, ANY_DEATH)
_OTHERS = (READMISSION, ICU_TRANSFER, stay_of_more_than(7))
OUTCOMES = Registry("outcome", Outcome)
OUTCOMES |= {outcome.label: outcome for outcome in (*_DEATHS, *_OTHERS)}
"""The outcomes of the tasks here, by label: a run's files hold only the label of these."""
