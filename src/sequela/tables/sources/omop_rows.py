"""The rows of OMOP's tables: their times, persons, visits, concepts and values."""

from collections.abc import Mapping

import narwhals as nw

from sequela.tables.declarations import Frame, Frames
from sequela.tables.declared.expressions import end_of_day
from sequela.tables.rows import holds

# Numbers of standard concepts, as https://athena.ohdsi.org lists them.
_INTENSIVE = {32037: "intensive care", 581379: "inpatient critical care facility"}
STAYS = {
    9201: "inpatient visit", 262: "emergency room and inpatient visit", 8717: "inpatient hospital",
    8971: "inpatient psychiatric facility", **_INTENSIVE,
}  # fmt: skip
ICU = {
    **_INTENSIVE, 40481392: "medical ICU", 4305366: "surgical ICU", 4149943: "cardiac ICU",
    763903: "trauma ICU",
}  # fmt: skip
DIED = 4216643  # the concept 'patient died'
DIED_WORDS = ("DIED", "EXPIRED", "DEAD", "DECEASED", "DEAD/EXPIRED")
SEXES = {8507: "M", 8532: "F"}
RACES = {
    8527: "WHITE", 8516: "BLACK/AFRICAN AMERICAN", 8515: "ASIAN",
    8657: "AMERICAN INDIAN/ALASKA NATIVE", 8557: "NATIVE HAWAIIAN OR OTHER PACIFIC ISLANDER",
}  # fmt: skip
HISPANIC = 38003563  # the concept 'Hispanic or Latino'
# The tables of concepts; the second is the demo of MIMIC-IV's name for its own concepts.
CONCEPTS = ("concept", "2b_concept")
FAMILIES = {"ICD9Proc": "ICD9PROC", "CPT4": "CPT"}  # other sources' names
# The operators of a measurement by which its number is a limit; 4172703, '=', is none.
LIMIT_OF = {4171756: "//<", 4171754: "//<=", 4172704: "//>", 4171755: "//>="}
DOTTED = ("ICD9CM", "ICD10CM", "ICD9Proc")  # vocabularies whose codes have a dot
TWO_DIGITS = 10
# Time after a death from which rows are implausible: the check plausibleBeforeDeath of OHDSI's Data
# Quality Dashboard, https://ohdsi.github.io/DataQualityDashboard/.
PLAUSIBLE_AFTER_DEATH = "60d"


def one_of(conditions: Mapping[str, nw.Expr]) -> nw.Expr:
    """Return the first word whose condition holds; null where none does."""
    result: nw.Expr = nw.lit(None, nw.String())
    # Built from the inside out, so that the first word is tested first.
    for word, where in reversed(list(conditions.items())):
        result = nw.when(where).then(nw.lit(word)).otherwise(result)
    return result


def named(column: str, words: Mapping[int, str]) -> nw.Expr:
    """Return the word of a concept; null for any other."""
    return one_of({word: nw.col(column) == number for number, word in words.items()})


def concepts(frames: Frames) -> Frame | None:
    """Return all concepts: ``concept_id``, ``concept_code``, ``code``, ``words``."""
    tables = [frames[name] for name in CONCEPTS if name in frames]
    if not tables:
        return None
    rows = tables[0]  # where two tables have a concept, the first one describes it
    for table in tables[1:]:
        rows = nw.concat([rows, table.join(rows, on="concept_id", how="anti")])
    vocabulary, written = nw.col("vocabulary_id"), nw.col("concept_code")
    family = nw.coalesce(
        one_of({ours: vocabulary == theirs for theirs, ours in FAMILIES.items()}), vocabulary
    )
    # Events of other sources have ICD codes without their dot, and one model may read both.
    dotless = nw.when(vocabulary.is_in([*DOTTED])).then(
        written.str.replace_all(".", "", literal=True)
    )
    code = nw.concat_str([family, nw.lit("//"), nw.coalesce(dotless, written)])
    # Concept 0 means that no concept matches; joined, all such rows would get one code.
    return rows.filter(nw.col("concept_id") != 0).select(
        "concept_id", "concept_code", code=code, words=nw.col("concept_name")
    )


def with_concept(rows: Frame, frames: Frames, column: str, name: str) -> Frame:
    """Add ``NAME_code``, ``NAME_words`` and ``NAME_own``, the code in its vocabulary."""
    table = frames.get("concepts")
    if table is None:
        blank = nw.lit(None, nw.String())
        return rows.with_columns(**{f"{name}_{part}": blank for part in ("code", "words", "own")})
    right = table.select(
        nw.col("concept_id").alias(column),
        nw.col("code").alias(f"{name}_code"),
        nw.col("words").alias(f"{name}_words"),
        nw.col("concept_code").alias(f"{name}_own"),
    )
    return rows.join(right, on=column, how="left")


def with_values(rows: Frame, frames: Frames) -> Frame:
    """Add the ``unit``, and ``code_and_value`` of rows whose value is not a number."""
    rows = with_concept(rows, frames, "unit_concept_id", "unit")
    rows = with_concept(rows, frames, "value_as_concept_id", "value")
    value = nw.coalesce("value_as_string", "value_words")
    code_and_value = nw.concat_str([nw.col("code"), nw.lit("//"), value])
    return rows.with_columns(
        unit=nw.coalesce("unit_own", "unit_source_value"),
        code_and_value=nw.coalesce(code_and_value, nw.col("code")),
    )


def with_person(rows: Frame, frames: Frames) -> Frame:
    """Add ``subject_id``, ``known_person`` (null if unknown) and the valid death, if any."""
    rows = rows.with_columns(subject_id=nw.col("person_id"))
    return rows.join(frames["known_persons"], on="person_id", how="left")


def known_persons(frames: Frames) -> Frame:
    """Return ``person_id``, the same as ``known_person``, and the valid death, if there is one."""
    persons = frames["person"].select("person_id", known_person=nw.col("person_id"))
    if "death" not in frames:
        return persons.with_columns(long_dead=nw.lit(None, nw.Datetime("us")))
    death = nw.col("death_known")
    deaths = valid_deaths(frames["timed_deaths"]).select(
        "person_id",
        death=death,
        death_clock="clock",
        long_dead=death.dt.offset_by(PLAUSIBLE_AFTER_DEATH),
    )
    return persons.join(deaths, on="person_id", how="left")


def with_visit(rows: Frame, frames: Frames) -> Frame:
    """Add the person, the start and the end of the visit, if there is one, and ``visit_id``."""
    rows = rows.with_columns(visit_id=nw.col("visit_occurrence_id"))
    visits = frames["timed_visits"].select(
        "visit_occurrence_id", "visit_start", "visit_end", visit_person="person_id"
    )
    return rows.join(visits, on="visit_occurrence_id", how="left")


def timed_visits(frames: Frames) -> Frame:
    """Return visits with their start and end; an end before the start is ``reversed``, and unknown.

    A date without a time is a whole day.
    """
    visits = frames["visit_occurrence"]
    rows = with_own_time(visits, "visit_start", late=False, name="visit_start")
    rows = with_own_time(rows, "visit_end", late=True, name="visit_end")
    end = nw.col("visit_end")
    # Which of two reversed times is wrong is unknown; the start dates the admission.
    reverse = holds(end < nw.col("visit_start"))
    return rows.with_columns(reversed=reverse, visit_end=nw.when(~reverse).then(end))


def timed_deaths(frames: Frames) -> Frame | None:
    """Add to deaths ``death_known``, ``unborn`` and ``again``: a later death of the person.

    ``again`` counts neither deaths before birth nor those whose date and datetime differ.
    """
    if "death" not in frames:
        return None
    rows = with_own_time(frames["death"], "death", late=True, name="death_known")
    births = with_birth(frames["person"]).select("person_id", "birth")
    rows = rows.join(births, on="person_id", how="left")
    rows = rows.with_columns(unborn=holds(nw.col("death_known") < nw.col("birth")))
    # A death before the birth is an error, and must not hide the right one.
    firsts = rows.filter(~nw.col("unborn")).group_by("person_id")
    rows = rows.join(firsts.agg(first=nw.col("death_known").min()), on="person_id", how="left")
    return rows.with_columns(again=holds(nw.col("death_known") > nw.col("first")))


def valid_deaths(deaths: Frame) -> Frame:
    """Return ``death_known`` and ``clock`` of the persons with a valid death, one row each."""
    valid = deaths.filter(~nw.col("unborn"), ~nw.col("again"), ~nw.col("death_known").is_null())
    # A person may have several rows of one death, from several sources: the earliest time is taken.
    return valid.group_by("person_id").agg(nw.col("death_known").min(), nw.col("clock").max())


def with_birth(persons: Frame) -> Frame:
    """Add ``birth`` to persons: the first of the month or year where no more is known."""

    def two(column: str) -> nw.Expr:
        # Unknown months and days are the first, so an age is too high by less than a year.
        number = nw.coalesce(nw.col(column), nw.lit(1))
        text = number.cast(nw.String())
        return nw.when(number < TWO_DIGITS).then(nw.concat_str([nw.lit("0"), text])).otherwise(text)

    day = nw.concat_str(
        [nw.col("year_of_birth").cast(nw.String()), nw.lit("-"), two("month_of_birth"),
         nw.lit("-"), two("day_of_birth"), nw.lit(" 00:00:00")]
    )  # fmt: skip
    return persons.with_columns(
        birth=nw.coalesce(nw.col("birth_datetime"), day.cast(nw.Datetime("us")))
    )


def with_own_time(rows: Frame, start: str, *, late: bool, name: str = "own") -> Frame:
    """Add the rows' own time, and ``clock``: whether it has a time of day.

    The names of their date and their time begin with ``start``. Midnight is a date without a time,
    as OMOP prescribes for sources that have none, in each row by itself: the row's time is then the
    end of the day (``late``) or its beginning. The added column ``name`` is null, and
    ``NAME_apart`` true, where date and time are more than a day apart (a day is a difference of
    time zones).
    """
    date, time = f"{start}_date", f"{start}_datetime"
    clock = nw.col(time).dt.truncate("1d") != nw.col(time)
    before, after = (nw.col(date).dt.offset_by(days) for days in ("-1d", "2d"))
    apart = (nw.col(time) < before) | (nw.col(time) >= after)
    joined = rows.with_columns(
        clock=holds(clock), day=nw.coalesce(date, time),
        **{f"{name}_apart": holds(apart)},
    )  # fmt: skip
    day = end_of_day("day") if late else nw.col("day")
    moment = nw.when(nw.col("clock")).then(nw.col(time)).otherwise(day)
    return joined.with_columns(**{name: nw.when(~nw.col(f"{name}_apart")).then(moment)}).drop("day")


def persons(frame: Frame, frames: Frames) -> Frame:
    """Add ``birth``, ``sex``, ``ethnicity`` and ``late``, a birth after the first visit's day."""
    by_person = frames["timed_visits"].group_by("person_id")
    # A birth on the day of the first visit is that of a newborn.
    visited = by_person.agg(first_visit=nw.col("visit_start").min().dt.offset_by("1d"))
    hispanic = nw.when(nw.col("ethnicity_concept_id") == HISPANIC).then(nw.lit("HISPANIC/LATINO"))
    return with_birth(frame.join(visited, on="person_id", how="left")).with_columns(
        late=holds(nw.col("birth") > nw.col("first_visit")),
        subject_id=nw.col("person_id"),
        sex=nw.coalesce(named("gender_concept_id", SEXES), nw.col("gender_source_value")),
        ethnicity=nw.coalesce(
            hispanic, named("race_concept_id", RACES), nw.col("race_source_value"),
            nw.col("ethnicity_source_value"),
        ),
    )  # fmt: skip


def visits(_: Frame, frames: Frames) -> Frame:
    """Add to visits whether they are hospital stays, and how they ended."""
    rows = with_person(frames["timed_visits"], frames)
    rows = rows.with_columns(
        visit_id=nw.col("visit_occurrence_id"),
        from_where=nw.coalesce("admitted_from_source_value", "admitting_source_value"),
        to_where=nw.coalesce("discharged_to_source_value", "discharge_to_source_value"),
        to_concept=nw.coalesce("discharged_to_concept_id", "discharge_to_concept_id"),
        from_concept=nw.coalesce("admitted_from_concept_id", "admitting_source_concept_id"),
    )
    by_concept = nw.col("visit_concept_id").is_in([*STAYS])
    # Only an inpatient visit records where the person came from.
    by_source = ~nw.col("from_where").is_null() | (nw.coalesce("from_concept", nw.lit(0)) > 0)
    by_words = nw.col("to_where").str.to_uppercase().is_in([*DIED_WORDS])
    rows = rows.with_columns(
        stay_by_concept=holds(by_concept),
        stay_by_source=by_source,
        told=~nw.col("to_where").is_null() | (nw.coalesce("to_concept", nw.lit(0)) > 0),
        said_died=holds(by_words | (nw.col("to_concept") == DIED)),
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
    since = nw.col("death") >= nw.col("visit_start")
    timed = nw.col("death_clock") & (nw.col("death") <= end)
    day_before = nw.col("death") < end.dt.truncate("1d")
    same_day = (nw.col("death").dt.truncate("1d") == end.dt.truncate("1d")) & ~nw.col("told")
    dated = ~nw.col("death_clock") & (day_before | same_day)
    inside = holds(since & (timed | dated))
    expired = nw.col("said_died") | inside
    return rows.with_columns(expired=expired, alive=~expired & ~end.is_null())


def dead(_: Frame, frames: Frames) -> Frame:
    """Return deaths of known persons."""
    return with_person(frames["timed_deaths"], frames)


def observed(frame: Frame, frames: Frames) -> Frame:
    """Return periods of observation of persons without a recorded death."""
    rows = with_person(frame, frames)
    if "death" in frames:
        # A person with several rows in the table of deaths still counts once.
        deaths = frames["death"].select("person_id", died=nw.lit(1)).unique()
        rows = rows.join(deaths, on="person_id", how="left")
    else:
        rows = rows.with_columns(died=nw.lit(None, nw.Int64()))
    return rows.with_columns(until=end_of_day("observation_period_end_date"))


def wards(frame: Frame, frames: Frames) -> Frame:
    """Return parts of visits with the ``ward``, and whether it is an intensive care unit."""
    rows = with_visit(with_person(frame, frames), frames)
    rows = with_own_time(rows, "visit_detail_start", late=True, name="entered")
    rows = with_own_time(rows, "visit_detail_end", late=True, name="left")
    if "care_site" in frames:
        sites = frames["care_site"].select("care_site_id", ward=nw.col("care_site_name"))
        rows = rows.join(sites, on="care_site_id", how="left")
    else:
        rows = rows.with_columns(ward=nw.lit(None, nw.String()))
    return rows.with_columns(
        unit=nw.coalesce(nw.col("ward"), named("visit_detail_concept_id", ICU)),
        icu=holds(nw.col("visit_detail_concept_id").is_in([*ICU])),
    )


# What several tables are joined to, in the order in which it is computed.
SHARED = {
    "concepts": concepts,
    "timed_visits": timed_visits,
    "timed_deaths": timed_deaths,
    "known_persons": known_persons,
}
