"""Exclusion rules: each has a name, a sentence and a condition."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MINOR_YEARS = 18


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


CENSORED = "censored-before-horizon"
"""The rule for candidates whose follow-up for the outcome was too short."""
ON_RECORD = "outcome-on-record"
"""The rule for candidates with such an event on record already."""
DUPLICATES = Rule(
    "a second stay of the subject with the same time of prediction",
    "false",
    "subjects",
    "two records of one stay count once, and a death that either of them has counts",
)
"""The rule that is applied after those of a task."""
_NO_FUTURE = "only patients whose outcome is still ahead are included"


RULES: Mapping[str, Rule] = {
    "no-trigger-time": Rule(
        "the time of the trigger is not known", "prediction_time IS NULL", "subjects"
    ),
    "minors": Rule(
        f"younger than {MINOR_YEARS} years",
        f"birth + INTERVAL {MINOR_YEARS} YEAR > trigger_time",
        "subjects",
    ),
    "organ-donors": Rule(
        "organ donors: their stay begins after the death, and records it again",
        "donor",
        "stays",
        "the stay of the death itself is kept",
    ),
    "nothing-charted": Rule(
        "stays in which nothing was charted", "nothing_charted", "stays", later=True
    ),
    "negative-stays": Rule(
        "discharged before admission",
        "discharged < admitted",
        "stays",
        "their times contradict each other, as those of organ donors do",
    ),
    "deaths-before-admission": Rule(
        "died before admission",
        "death_by < admitted",
        "stays",
        "such a death does not belong to this stay",
    ),
    "blank-status": Rule(
        "not recorded whether they died",
        "status IS NULL",
        "subjects",
        "without a label an example is of no use in training or evaluation",
        later=True,
    ),
    "no-label": Rule(
        "the label is blank",
        "status IS NULL",
        "subjects",
        "without a label an example is of no use in training or evaluation",
        later=True,
    ),
    "died-in-hospital": Rule("died in this stay", "expired", "stays", _NO_FUTURE),
    "no-discharge": Rule(
        "not recorded when the stay ended", "discharged IS NULL", "stays", later=True
    ),
    # At the discharge from one of two overlapping stays, the patient is still in hospital.
    "overlapping-stays": Rule(
        "another stay of the subject had begun and not ended at the discharge",
        "next_admission <= prediction_time OR others_until > prediction_time",
        "stays",
        "patients in hospital cannot be admitted",
    ),
    "already-in-icu": Rule(
        "admitted to intensive care by the time of prediction",
        "icu_admitted <= prediction_time",
        "stays",
        _NO_FUTURE,
    ),
    ON_RECORD: Rule(
        "an event of the outcome's kind is on record by the time of prediction",
        """EXISTS (
            SELECT 1 FROM outcome_events AS e
            WHERE e.subject_id = candidates.subject_id AND e.time <= candidates.prediction_time
        )""",
        "subjects",
        "the task is to predict the first such event",
    ),
    # Nothing is left to predict after a discharge or death. The death of a stay ends it only
    # where its time is plausible, because it may be a typing error.
    "shorter-than-window": Rule(
        "discharged or dead by the time of prediction",
        """CASE WHEN expired AND death_by BETWEEN admitted AND discharged
           THEN death_by ELSE discharged END <= prediction_time""",
        "stays",
        _NO_FUTURE,
    ),
    "dead-at-prediction": Rule(
        "already dead at the time of prediction",
        "death_by <= prediction_time",
        "subjects",
        _NO_FUTURE,
    ),
    "follow-up-ended": Rule(
        "follow-up ended by the time of prediction",
        "followed_until <= prediction_time",
        "subjects",
        "they were lost before the prediction time, when no outcome had occurred",
    ),
    # A follow-up that ends on the day of death was ended by it. One that ends earlier than the
    # horizon for another reason is too short even if a later death is known: only deaths would be
    # seen. Among those that a death ended, ``lost`` marks as many as would have been too short.
    CENSORED: Rule(
        "follow-up ended before the horizon, or was drawn to have, had death not ended it before",
        """followed_until < horizon AND (
           death IS NULL OR date_trunc('day', death) <> date_trunc('day', followed_until) OR lost
        )""",
        "subjects",
        "those who were lost alive were not seen to the horizon, and of those who died before it "
        "as large a share is left out as would have been lost (drawn at the Kaplan-Meier "
        "probability), so that the share of deaths is that of all",
        later=True,
    ),
}
"""The exclusion rules, by name."""
