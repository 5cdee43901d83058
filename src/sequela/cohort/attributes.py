"""Attributes of the subjects, for subgroup results; never an input of a model."""

from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sequela.cohort.events import Events
from sequela.datasets.codes import ETHNICITY, ICU_ADMISSION, SEX, SITE

FAMILIES = {"sex": SEX, "ethnicity": ETHNICITY, "unit": ICU_ADMISSION}
AGE_BANDS = (18, 40, 65, 80)  # ages in years, at which a band begins

# If an attribute was recorded several times with different values, the first counts.
OF_SUBJECT = """
SELECT a.example, split_part(arg_min(c.body, (e.time, e.code)), '//', 1) AS value
FROM asked_rows AS a
JOIN events AS e ON e.subject_id = a.subject_id
JOIN codes AS c ON c.code = e.code AND c.family = $family
WHERE e.time IS NULL OR e.time <= a.prediction_time
GROUP BY a.example
"""
# The unit changes within a stay: the last one by the time of the prediction counts.
LAST = """
SELECT a.example, split_part(arg_max(c.body, (e.time, e.code)), '//', 1) AS value
FROM asked_rows AS a
JOIN events AS e ON e.subject_id = a.subject_id AND e.time <= a.prediction_time
JOIN codes AS c ON c.code = e.code AND c.family = $family
GROUP BY a.example
"""


def attributes_of(events: Events, labels: pa.Table) -> dict[str, NDArray[np.str_]]:
    """Return sex, ethnicity and the last ICU of each example, where known.

    For each attribute that the data have: str (example,), empty where it is not known.
    """
    attributes = {}
    with events.connect() as connection:
        for name, family in FAMILIES.items():
            query = LAST if family == ICU_ADMISSION else OF_SUBJECT
            values = _values(connection, labels, query, family)
            if values is not None:
                attributes[name] = values
    return attributes


def sites_of(events: Events, labels: pa.Table) -> NDArray[np.str_]:
    """Return the hospital of each example: the last on record by the prediction time.

    Str (example,): the code's text after ``HOSPITAL//``, empty where no hospital is on record.
    """
    with events.connect() as connection:
        values = _values(connection, labels, LAST, SITE)
    return np.full(len(labels), "") if values is None else values


def _values(
    connection: duckdb.DuckDBPyConnection, labels: pa.Table, query: str, family: str
) -> NDArray[np.str_] | None:
    """Return what a family of codes records of each example; ``None`` if nothing of any."""
    # Numbered, since a subject may have several examples at different times.
    examples = pa.array(np.arange(len(labels)), pa.int64())
    connection.register("asked_rows", labels.append_column("example", examples))
    rows = connection.execute(query, {"family": family}).fetchall()
    values = np.full(len(labels), "", dtype=object)
    # A record without a text after the family's name counts as not known.
    for example, value in rows:
        values[example] = value or ""
    return values.astype(np.str_) if rows else None


def age_bands(age: NDArray[np.float32]) -> NDArray[np.str_]:
    """Group ages in years into bands; the band is empty where the age is not known.

    Example:
        >>> age_bands(np.array([17, 18, 64.9, 95, np.nan], np.float32)).tolist()
        ['under 18', '18 to 39', '40 to 64', '80 and over', '']
    """
    first, *_, last = AGE_BANDS
    names = [f"under {first}"]
    names += [f"{low} to {high - 1}" for low, high in pairwise(AGE_BANDS)]
    names += [f"{last} and over", ""]
    # The last band is for unknown ages, which searchsorted would put among the oldest.
    place = np.where(np.isnan(age), len(names) - 1, np.searchsorted(AGE_BANDS, age, side="right"))
    return np.asarray(names)[place]
