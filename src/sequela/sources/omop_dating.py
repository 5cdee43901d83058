"""The own time, the person and the visit of OMOP's rows."""

from typing import Any

import narwhals as nw

from sequela.sources.declarations import Frames, end_of_day

Frame = nw.LazyFrame[Any]


def with_person(rows: Frame, frames: Frames) -> Frame:
    """Add ``known_person``, null for an unknown person."""
    persons = frames["person"].select("person_id", known_person=nw.col("person_id"))
    return rows.join(persons, on="person_id", how="left")


def with_visit(rows: Frame, frames: Frames) -> Frame:
    """Add the person, the start and the end of the visit, if there is one."""
    visits = timed_visits(frames["visit_occurrence"]).select(
        "visit_occurrence_id", "visit_start", "visit_end", visit_person="person_id"
    )
    return rows.join(visits, on="visit_occurrence_id", how="left")


def timed_visits(visits: Frame) -> Frame:
    """Add ``visit_start`` and ``visit_end``; a date without a time is a whole day."""
    starts = with_own_time(
        visits, "visit_start_date", "visit_start_datetime", late=False, name="visit_start"
    )
    return with_own_time(
        starts, "visit_end_date", "visit_end_datetime", late=True, name="visit_end"
    )


def timed_deaths(deaths: Frame) -> Frame:
    """Add ``death_known`` to deaths."""
    return with_own_time(deaths, "death_date", "death_datetime", late=True, name="death_known")


def with_own_time(
    rows: Frame,
    date: str,
    time: str,
    *,
    late: bool,
    name: str = "own",
    table: Frame | None = None,
) -> Frame:
    """Add the rows' own time, and ``clock``: whether it has a time of day.

    A table whose times are all midnight has dates only: the time of a row is then its end
    (``late``) or its beginning. Where other rows have a time of day, midnight is one, too.

    Args:
        rows: Rows of a table.
        date: Column of the day.
        time: Column of the time.
        late: Whether a day alone means its end.
        name: Name of the added column.
        table: The table as it was read, where ``rows`` are joined: checking it is faster.
    """
    clocked = nw.col(time).dt.truncate("1d") != nw.col(time)
    any_clocked = nw.when(clocked).then(nw.lit(1)).otherwise(nw.lit(0)).max()
    clock = (rows if table is None else table).select(has_clock=any_clocked)
    joined = rows.join(clock, how="cross").with_columns(
        clock=~nw.col(time).is_null() & (nw.col("has_clock") == 1), day=nw.coalesce(date, time)
    )
    day = end_of_day("day") if late else nw.col("day")
    own = nw.when(nw.col("clock")).then(nw.col(time)).otherwise(day)
    return joined.with_columns(**{name: own}).drop("has_clock", "day")
