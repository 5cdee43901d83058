"""Who is left out of a cohort, and why: each rule has a name, a sentence and a condition."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MINOR_YEARS = 18


@dataclass(frozen=True)
class Rule:
    """One reason to leave a candidate out.

    Attributes:
        sentence: What the flow diagram says.
        condition: SQL over the columns of the table ``candidates``; null counts as false.
        of: What it is about: ``stays`` need a hospital stay as candidate, ``subjects`` do not.
    """

    sentence: str
    condition: str
    of: Literal["stays", "subjects"]


RULES: Mapping[str, Rule] = {
    "no-trigger-time": Rule(
        "the time of the trigger is not known",
        "prediction_time IS NULL",
        "subjects",
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
    ),
    "nothing-charted": Rule(
        "stays in which nothing was charted",
        "nothing_charted",
        "stays",
    ),
    "negative-stays": Rule(
        "discharged before admission",
        "discharged < admitted",
        "stays",
    ),
    "deaths-before-admission": Rule(
        "died before admission",
        "death_by < admitted",
        "stays",
    ),
    "blank-status": Rule(
        "not recorded whether they died",
        "status IS NULL",
        "subjects",
    ),
    "died-in-hospital": Rule(
        "died in this stay",
        "expired",
        "stays",
    ),
    "no-discharge": Rule(
        "not recorded when the stay ended",
        "discharged IS NULL",
        "stays",
    ),
    # At the discharge from one of two stays at a time somebody is still, or again, in hospital.
    "overlapping-stays": Rule(
        "another stay of the subject had begun and not ended at the discharge",
        "next_admission <= prediction_time OR others_until > prediction_time",
        "stays",
    ),
    "already-in-icu": Rule(
        "admitted to intensive care by the time of prediction",
        "icu_admitted <= prediction_time",
        "stays",
    ),
    # Who has left or died by the time of prediction has no future to predict. The death of a stay
    # ends it where its time is plausible; a typing error must not.
    "shorter-than-window": Rule(
        "discharged or dead by the time of prediction",
        """CASE WHEN expired AND death_by BETWEEN admitted AND discharged
           THEN death_by ELSE discharged END <= prediction_time""",
        "stays",
    ),
    "dead-at-prediction": Rule(
        "already dead at the time of prediction",
        "death_by <= prediction_time",
        "subjects",
    ),
    "follow-up-ended": Rule(
        "follow-up ended by the time of prediction",
        "followed_until <= prediction_time",
        "subjects",
    ),
    # A follow-up that ends on the day of death was ended by it. One that ends otherwise, before the
    # horizon, is too short whether or not a later death is known: deaths alone would be seen.
    "censored-before-horizon": Rule(
        "follow-up ended before the horizon",
        """followed_until < horizon
           AND (death IS NULL OR date_trunc('day', death) <> date_trunc('day', followed_until))""",
        "subjects",
    ),
}
"""The rules of who is left out, by name."""
