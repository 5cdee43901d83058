"""The shared parts of MIMIC-III and MIMIC-IV: stays, deaths, and kinds of tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import narwhals as nw

from sequela.sources import codes
from sequela.sources.declarations import (
    Check,
    Fact,
    Frames,
    Kind,
    Table,
    end_of_day,
    in_order,
    never_blank,
)

INTEGER, NUMBER, TEXT, TIME = Kind.INTEGER, Kind.NUMBER, Kind.TEXT, Kind.TIME
ID = {"subject_id": INTEGER, "hadm_id": INTEGER}

AS_CHARTED = "staff charted it then"
DATE_ONLY = "only the date is published; it was certainly known by the end of that day"
DAY_ENDS = "at the end of that day"

# A stay whose DEATHTIME is further than this from its DISCHTIME has a typing error in one of them;
# DISCHTIME, which billing checks, is used then.
NEAR_DISCHARGE = timedelta(days=1)

REWRITTEN = "the order was rewritten"
MARKED_WRONG = "staff marked it as an error"
USUAL = frozenset({REWRITTEN, MARKED_WRONG})
UNKNOWN_SUBJECT = "its subject is not among the patients"
UNKNOWN_STAY = "its hospital stay is not among the admissions"
OTHER_SUBJECT = "its hospital stay belongs to another subject"
IN_A_STAY: Mapping[str, nw.Expr] = {
    "no hospital stay is named": nw.col("hadm_id").is_null(),
    UNKNOWN_STAY: nw.col("stay_subject").is_null(),
    OTHER_SUBJECT: nw.col("stay_subject") != nw.col("subject_id"),
}
OF_A_SUBJECT: Mapping[str, nw.Expr] = {
    UNKNOWN_SUBJECT: nw.col("known_subject").is_null(),
    UNKNOWN_STAY: ~nw.col("hadm_id").is_null() & nw.col("stay_subject").is_null(),
    OTHER_SUBJECT: nw.col("stay_subject") != nw.col("subject_id"),
}


def known_discharge() -> nw.Expr:
    """Return the time discharge codes were known; never before the admission."""
    admitted, discharged = nw.col("admittime"), nw.col("dischtime")
    typed_early = nw.when(discharged < admitted).then(admitted)
    return nw.when(discharged >= admitted).then(discharged).otherwise(typed_early)


@dataclass(frozen=True)
class Mimic:
    """One of the two data sets, by the names of its main tables.

    Attributes:
        patients: Table with one row a subject.
        admissions: Table with one row a hospital stay.
    """

    patients: str
    admissions: str

    def with_stay(self, frame: nw.LazyFrame[Any], frames: Frames) -> nw.LazyFrame[Any]:
        """Add ``discharge``, the time the discharge of the stay was known, and ``visit_id``."""
        stays = frames[self.admissions].select(
            hadm_id="hadm_id", stay_subject="subject_id", discharge=known_discharge()
        )
        return frame.join(stays, on="hadm_id", how="left").with_columns(visit_id=nw.col("hadm_id"))

    def with_subject(self, frame: nw.LazyFrame[Any], frames: Frames) -> nw.LazyFrame[Any]:
        """Add the stay, if there is one, and ``known_subject``, null for an unknown subject."""
        return self.known(self.with_stay(frame, frames), frames)

    def known(self, frame: nw.LazyFrame[Any], frames: Frames) -> nw.LazyFrame[Any]:
        """Add ``known_subject``, null where the subject is not among the patients."""
        patients = frames[self.patients].select("subject_id", known_subject=nw.col("subject_id"))
        return frame.join(patients, on="subject_id", how="left")

    def with_death(self, frame: nw.LazyFrame[Any], frames: Frames) -> nw.LazyFrame[Any]:
        """Add ``death``, ``first_admission`` and ``last_discharge`` to patients."""
        died, discharged = nw.col("deathtime"), nw.col("dischtime")
        near = (died <= discharged + nw.lit(NEAR_DISCHARGE)) & (
            died >= discharged - nw.lit(NEAR_DISCHARGE)
        )
        stamped = nw.when(near).then(died).otherwise(discharged)
        stays = (
            frames[self.admissions]
            .with_columns(died=nw.when(nw.col("hospital_expire_flag") == 1).then(stamped))
            .group_by("subject_id")
            .agg(
                first_admission=nw.col("admittime").min(),
                last_discharge=nw.col("dischtime").max(),
                died_in_hospital=nw.col("died").min(),
            )
        )
        joined = frame.join(stays, on="subject_id", how="left")
        return joined.with_columns(death=nw.coalesce("died_in_hospital", end_of_day("dod")))

    def coded(
        self,
        name: str,
        templates: Mapping[str, str],
        columns: Mapping[str, Kind],
        *,
        version: str | None = None,
        required: bool = False,
        describes: Mapping[str, str] | None = None,
    ) -> Table:
        """Declare a table of codes that billing assigns after discharge.

        Args:
            name: Name of the table.
            templates: Templates of the codes, to their descriptions.
            columns: Columns of the code.
            version: Column with the version that selects the template, by the number in it.
            required: Whether the data set cannot be built without it.
            describes: See ``Table``.
        """
        facts = tuple(
            Fact(
                what,
                code,
                "discharge",
                "at discharge",
                _why_later(code),
                where=is_version(version, code) if version else None,
            )
            for code, what in templates.items()
        )
        return Table(
            name,
            {**ID, **columns},
            facts,
            required=required,
            prepare=self.with_stay,
            aside=IN_A_STAY,
            describes=describes or {},
        )

    def charted(
        self,
        name: str,
        columns: Mapping[str, Kind],
        fact: Fact,
        aside: Mapping[str, nw.Expr] | None = None,
        optional: frozenset[str] = frozenset(),
        usual: frozenset[str] = USUAL,
    ) -> Table:
        """Declare a table of facts charted by staff; a row may belong to no stay."""
        return Table(
            name,
            {**ID, **columns},
            (fact,),
            prepare=self.with_subject,
            aside={**OF_A_SUBJECT, **(aside or {})},
            optional=optional,
            usual=usual,
        )

    def itemised(
        self,
        name: str,
        prefix: str,
        what: str,
        *,
        time: str = "charttime",
        value: str | None = None,
        unit: str | None = None,
        why: str = AS_CHARTED,
        more: Mapping[str, Kind] | None = None,
        aside: Mapping[str, nw.Expr] | None = None,
    ) -> Table:
        """Declare a table of charted items; the code names the unit, which can vary."""
        code = f"{prefix}//{{itemid}}" + (f"//{{{unit}|UNKNOWN}}" if unit else "")
        columns: dict[str, Kind] = {"itemid": INTEGER, time: TIME}
        columns |= {value: NUMBER} if value else {}
        columns |= {unit: TEXT} if unit else {}
        fact = Fact(what, code, time, f"at {time}", why, value=value)
        return self.charted(name, {**columns, **(more or {})}, fact, aside)


def _why_later(code: str) -> str:
    """Return why codes of a template are assigned after discharge, from the list of families."""
    family = codes.family_of(code)
    if not family.coded_later:
        raise ValueError(
            f"{family.name} is declared as coded after discharge, and sources/codes.py does not "
            "state this: add it there, so that its leaks are looked for"
        )
    return family.coded_later


def is_version(column: str, code: str) -> nw.Expr:
    """Select rows of the ICD version in a template such as ``ICD10CM//{icd_code}``."""
    return nw.col(column) == (10 if code.startswith("ICD10") else 9)


def asked_on_arrival(templates: Mapping[str, str]) -> tuple[Fact, ...]:
    """Return facts of the admission desk from descriptions and templates of codes."""
    return tuple(
        Fact(what, code, "admittime", "at admission", "asked on arrival")
        for what, code in templates.items()
    )


DEATH = Fact(
    "death",
    codes.DEATH,
    "death",
    "at death: deathtime of the stay that ended with it (dischtime where the two are more than a "
    "day apart), else the end of the day dod",
    "deathtime has typing errors; dod has no time. A label, never an input",
)
STAY_FACTS = (
    Fact("emergency room", "ED_ARRIVAL", "edregtime", "on arrival", "registered then"),
    Fact("out of the emergency room", "ED_OUT", "edouttime", "on leaving", "registered then"),
    Fact(
        "discharge and where to",
        codes.DISCHARGE + "//{discharge_location|UNKNOWN}",
        "dischtime",
        "at discharge",
        "decided then; a death reveals the outcome",
    ),
    Fact(
        "died in this stay",
        codes.EXPIRED,
        "dischtime",
        "at discharge",
        "hospital_expire_flag = 1. A label, never an input",
        where=nw.col("hospital_expire_flag") == 1,
    ),
    Fact(
        "left this stay alive",
        codes.ALIVE,
        "dischtime",
        "at discharge",
        "hospital_expire_flag = 0. A label, never an input; blank gives neither",
        where=nw.col("hospital_expire_flag") == 0,
    ),
)


LATER = frozenset(
    {
        *("dischtime", "deathtime", "discharge_location", "hospital_expire_flag", "outtime"),
        *("dod", "dod_hosp", "dod_ssn", "expire_flag"),
    }
)
"""The columns that are known only after a stay, or a life, has ended."""


def stay_checks(excused: nw.Expr) -> tuple[Check, ...]:
    """Return the forbidden states of admissions, except those ``excused``."""
    return (
        Check(
            "admissions without a patient",
            nw.col("known_subject").is_null(),
            "hadm_id",
            "take patients and admissions from the same release",
        ),
        Check(
            "discharge before admission (organ donors apart)",
            (nw.col("dischtime") < nw.col("admittime")) & ~excused,
            "hadm_id",
            "correct admittime and dischtime, or fetch the table again",
            share=0.005,
        ),
        Check(
            "hospital_expire_flag neither 0 nor 1",
            ~nw.col("hospital_expire_flag").is_in([0, 1]),
            "hadm_id",
            "correct the flag, or leave it blank where the outcome is not known",
        ),
        Check(
            "a deathtime, and a hospital_expire_flag of 0,",
            ~nw.col("deathtime").is_null() & (nw.col("hospital_expire_flag") == 0),
            "hadm_id",
            "correct one of the two, or check whether the name deathtime is above another column",
            share=0.005,
        ),
        in_order("edregtime", "edouttime", "hadm_id", share=0.05),
        *never_blank("subject_id", "admittime", "dischtime", show="hadm_id"),
    )


ICU_CHECKS = (
    in_order("intime", "outtime", "hadm_id", share=0.005),
    *never_blank("subject_id", "intime", show="hadm_id"),
)
ENDS_EARLY = {
    "discharge before admission: its codes are in the vocabulary at admission": nw.col("dischtime")
    < nw.col("admittime")
}
