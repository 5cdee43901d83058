"""Rows of OMOP's tables of persons, visits, wards, deaths and observation, ready to be events."""

from typing import Any

import narwhals as nw

from sequela.sources.declarations import Frames, end_of_day
from sequela.sources.omop_concepts import named
from sequela.sources.omop_dating import (
    timed_deaths,
    timed_visits,
    with_own_time,
    with_person,
    with_visit,
)

Frame = nw.LazyFrame[Any]

STAYS = {
    9201: "inpatient visit",
    262: "emergency room and inpatient visit",
    8717: "inpatient hospital",
    8971: "inpatient psychiatric facility",
    32037: "intensive care",
    581379: "inpatient critical care facility",
}
ICU = {
    32037: "intensive care",
    581379: "inpatient critical care facility",
    40481392: "medical ICU",
    4305366: "surgical ICU",
    4149943: "cardiac ICU",
    763903: "trauma ICU",
}
DIED = 4216643  # the concept 'patient died'
DIED_WORDS = ("DIED", "EXPIRED", "DEAD", "DECEASED", "DEAD/EXPIRED")
SEXES = {8507: "M", 8532: "F"}
RACES = {
    8527: "WHITE",
    8516: "BLACK/AFRICAN AMERICAN",
    8515: "ASIAN",
    8657: "AMERICAN INDIAN/ALASKA NATIVE",
    8557: "NATIVE HAWAIIAN OR OTHER PACIFIC ISLANDER",
}
HISPANIC = 38003563
TWO_DIGITS = 10


def persons(frame: Frame, _: Frames) -> Frame:
    """Add ``birth``, ``sex`` and ``ethnicity`` to persons."""

    def two(column: str) -> nw.Expr:
        number = nw.coalesce(nw.col(column), nw.lit(1))
        text = number.cast(nw.String())
        return nw.when(number < TWO_DIGITS).then(nw.concat_str([nw.lit("0"), text])).otherwise(text)

    day = nw.concat_str(
        [nw.col("year_of_birth").cast(nw.String()), nw.lit("-"), two("month_of_birth"),
         nw.lit("-"), two("day_of_birth"), nw.lit(" 00:00:00")]
    )  # fmt: skip
    hispanic = nw.when(nw.col("ethnicity_concept_id") == HISPANIC).then(nw.lit("HISPANIC/LATINO"))
    return frame.with_columns(
        subject_id=nw.col("person_id"),
        birth=nw.coalesce(nw.col("birth_datetime"), day.cast(nw.Datetime("us"))),
        sex=nw.coalesce(named("gender_concept_id", SEXES), nw.col("gender_source_value")),
        ethnicity=nw.coalesce(
            hispanic, named("race_concept_id", RACES), nw.col("race_source_value"),
            nw.col("ethnicity_source_value"),
        ),
    )  # fmt: skip


def visits(frame: Frame, frames: Frames) -> Frame:
    """Add to visits whether they are hospital stays, and how they ended."""
    rows = with_person(timed_visits(frame), frames)
    rows = rows.with_columns(
        subject_id=nw.col("person_id"),
        visit_id=nw.col("visit_occurrence_id"),
        from_where=nw.coalesce("admitted_from_source_value", "admitting_source_value"),
        to_where=nw.coalesce("discharged_to_source_value", "discharge_to_source_value"),
        to_concept=nw.coalesce("discharged_to_concept_id", "discharge_to_concept_id"),
        from_concept=nw.coalesce("admitted_from_concept_id", "admitting_source_concept_id"),
    )
    by_concept = nw.col("visit_concept_id").is_in([*STAYS])
    by_source = ~nw.col("from_where").is_null() | (nw.coalesce("from_concept", nw.lit(0)) > 0)
    said = nw.col("to_where").str.to_uppercase().is_in([*DIED_WORDS]) | (
        nw.col("to_concept") == DIED
    )
    said_died = nw.coalesce(said, nw.lit(value=False))
    rows = rows.with_columns(
        stay_by_concept=nw.coalesce(by_concept, nw.lit(value=False)),
        stay_by_source=by_source,
        told=~nw.col("to_where").is_null() | (nw.coalesce("to_concept", nw.lit(0)) > 0),
        said_died=said_died,
    )
    return with_ending(rows, frames)


def with_ending(rows: Frame, frames: Frames) -> Frame:
    """Add ``expired`` and ``alive`` to visits; both are false where the ending is unknown.

    The visit's own record counts first. A death on record counts if it is in the visit; a death on
    the last day, without a time, only where the visit does not record where the person went.
    """
    end = nw.col("visit_end")
    if "death" not in frames:
        return rows.with_columns(
            expired=nw.col("said_died"), alive=nw.col("told") & ~nw.col("said_died")
        )
    deaths = (
        timed_deaths(frames["death"])
        .group_by("person_id")
        .agg(death=nw.col("death_known").min(), death_clock=nw.col("clock").max())
    )
    rows = rows.join(deaths, on="person_id", how="left")
    since = nw.col("death") >= nw.col("visit_start")
    timed = nw.col("death_clock") & (nw.col("death") <= end)
    day_before = nw.col("death") < end.dt.truncate("1d")
    same_day = (nw.col("death").dt.truncate("1d") == end.dt.truncate("1d")) & ~nw.col("told")
    dated = ~nw.col("death_clock") & (day_before | same_day)
    inside = nw.coalesce(since & (timed | dated), nw.lit(value=False))
    expired = nw.col("said_died") | inside
    return rows.with_columns(expired=expired, alive=~expired & ~end.is_null())


def dead(frame: Frame, frames: Frames) -> Frame:
    """Return deaths of known persons."""
    rows = with_person(timed_deaths(frame), frames)
    return rows.with_columns(subject_id=nw.col("person_id"))


def observed(frame: Frame, frames: Frames) -> Frame:
    """Return periods of observation of persons without a recorded death."""
    rows = with_person(frame, frames)
    if "death" in frames:
        deaths = frames["death"].select("person_id", died=nw.lit(1)).unique()
        rows = rows.join(deaths, on="person_id", how="left")
    else:
        rows = rows.with_columns(died=nw.lit(None, nw.Int64()))
    return rows.with_columns(
        subject_id=nw.col("person_id"), until=end_of_day("observation_period_end_date")
    )


def wards(frame: Frame, frames: Frames) -> Frame:
    """Return parts of visits with the ``ward``, and whether it is an intensive care unit."""
    rows = with_visit(with_person(frame, frames), frames)
    rows = with_own_time(
        rows, "visit_detail_start_date", "visit_detail_start_datetime", late=True, name="entered",
        table=frame,
    )  # fmt: skip
    rows = with_own_time(
        rows, "visit_detail_end_date", "visit_detail_end_datetime", late=True, name="left",
        table=frame,
    )  # fmt: skip
    if "care_site" in frames:
        sites = frames["care_site"].select("care_site_id", ward=nw.col("care_site_name"))
        rows = rows.join(sites, on="care_site_id", how="left")
    else:
        rows = rows.with_columns(ward=nw.lit(None, nw.String()))
    return rows.with_columns(
        subject_id=nw.col("person_id"),
        visit_id=nw.col("visit_occurrence_id"),
        unit=nw.coalesce(nw.col("ward"), named("visit_detail_concept_id", ICU)),
        icu=nw.coalesce(nw.col("visit_detail_concept_id").is_in([*ICU]), nw.lit(value=False)),
    )
