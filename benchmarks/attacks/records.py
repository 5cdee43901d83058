"""Attacks on records and labels: information from the future, or that reveals the outcome."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from benchmarks.attacks.attack import Attack, Outcome
from benchmarks.attacks.bench import Bench
from numpy.typing import NDArray
from pyarrow import parquet

from sequela.cohort.events import open_events
from sequela.cohort.labels import read_labels

Change = Callable[[Bench, pa.Table], pa.Table]
"""A function from the labels to other labels."""

EARLY = """
INSERT INTO planted
SELECT c.subject_id, s.admitted + INTERVAL 1 HOUR, '{family}' || substr(c.code, 9), NULL, {visit}
FROM planted AS c JOIN stays AS s USING (subject_id, visit_id)
WHERE starts_with(c.code, 'ICD9CM//')
"""
"""The discharge codes of each stay, repeated an hour after its admission."""

OF_SOME = """
INSERT INTO planted
SELECT subject_id, prediction_time - INTERVAL 1 HOUR, {code}, {value}, visit_id
FROM asked WHERE {where}
"""
"""A charted code an hour before the prediction."""

FILLED = """
INSERT INTO planted
SELECT subject_id, prediction_time - INTERVAL 1 HOUR, 'CHART//filler ' || i, NULL, visit_id
FROM asked, range(200) AS r(i)
WHERE hash(visit_id * 1000 + i) % 1000 < CASE WHEN died THEN 300 ELSE 75 END
"""
"""Two hundred uninformative codes; only patients who die have more of them."""

WRITTEN_LATER = """
INSERT INTO planted
SELECT s.subject_id, s.admitted, 'ADMISSION_LOCATION//' || c.code[21:], NULL, s.visit_id
FROM stays AS s JOIN planted AS c USING (subject_id, visit_id)
WHERE starts_with(c.code, 'HOSPITAL_DISCHARGE//') AND {where}
"""
"""The destination at discharge of each stay, as the place it was admitted from."""

AT_ADMISSION = """
INSERT INTO planted
SELECT subject_id, admitted, {code}, NULL, visit_id FROM asked WHERE {where}
"""
"""A charted code at the admission."""

ENCODED = """
INSERT INTO planted
SELECT
    subject_id, prediction_time - INTERVAL 1 HOUR, 'LAB//risk of the district',
    avg(died::INTEGER) OVER (PARTITION BY hash(visit_id) % (SELECT count(*) // 20 FROM asked)),
    visit_id
FROM asked
"""
"""The share of deaths in groups of about 20 stays, the stay itself included."""

REPEATED = """
INSERT INTO planted
SELECT
    subject_id, prediction_time - (i + 1) * INTERVAL 20 MINUTE, 'CHART//turned', NULL, visit_id
FROM asked, range(9) AS r(i) WHERE i <= CASE WHEN died THEN 5 + n % 4 ELSE n % 4 END
"""
"""A code that tells nothing, charted six to nine times in deaths, one to four times in others."""

TWICE = """
CREATE TABLE twice AS SELECT * FROM planted WHERE subject_id IN (
    SELECT subject_id FROM planted GROUP BY subject_id ORDER BY count(*) DESC, 1 LIMIT 5
)
"""
AGAIN = """
INSERT INTO planted
SELECT
    subject_id + 10000000, time + INTERVAL 3 YEAR, {kept}, numeric_value, visit_id + 10000000
FROM twice
"""


def _early(family: str, visit: str = "c.visit_id") -> tuple[str, ...]:
    return (EARLY.format(family=family, visit=visit),)


def _of_some(code: str, where: str, value: str = "NULL") -> tuple[str, ...]:
    return (OF_SOME.format(code=code, where=where, value=value),)


def _twice(kept: str) -> tuple[str, ...]:
    """Return SQL that repeats five patients with many codes under other ids."""
    return (TWICE, AGAIN.format(kept=kept), "DELETE FROM planted WHERE code IS NULL")


_CODE = "code"
_ONE_CHANGED = """
    CASE WHEN row_number() OVER (
        PARTITION BY subject_id ORDER BY code NOT LIKE 'ICD9CM//%', code
    ) = 1 THEN 'ICD9CM//0389' ELSE code END
"""
_SOME_DROPPED = """
    CASE WHEN NOT starts_with(code, 'ICD9CM//')
        OR hash(code || subject_id) % 10 > 0 THEN code END
"""
_NOISY = "(hash(visit_id) % 100 < 85) = died"


def _normal(seed: int) -> str:
    """Return SQL of a normal number for each example (Box & Muller 1958)."""
    one, other = (f"hash(n + {1_000_000 * (2 * seed + i)}) % 9999" for i in (0, 1))
    return f"sqrt(-2 * ln(({one} + 1) / 10001.0)) * cos(2 * pi() * ({other}) / 9999)"


_NORMAL = "sqrt(-2 * ln((hash(n) % 9999 + 1) / 10001.0)) * cos(2 * pi() * (hash(-n) % 9999) / 9999)"

_PLANTED: dict[str, tuple[str, Sequence[str]]] = {
    "nothing planted in the records of MIMIC-III": ("mimic3", ()),
    "nothing planted in the records of eICU": ("eicu", ()),
    "discharge codes at admission: ICD-9-CM": ("mimic3", _early("ICD9CM//")),
    "discharge codes at admission: ICD-10-CM": ("mimic3", _early("ICD10CM//")),
    "discharge codes at admission: ICD-9 procedures": ("mimic3", _early("ICD9PROC//")),
    "discharge codes at admission: ICD-10-PCS": ("mimic3", _early("ICD10PCS//")),
    "discharge codes at admission: HCPCS": ("mimic3", _early("HCPCS//")),
    "discharge codes at admission: DIAGNOSIS//ICD//10": (
        "mimic3", _early("DIAGNOSIS//ICD//10//")),
    "discharge codes at admission: SNOMED": ("mimic3", _early("SNOMED//")),
    "discharge codes at admission, in no stay": ("mimic3", _early("ICD9CM//", "NULL")),
    "discharge codes at admission, in a stay that does not exist": (
        "mimic3", _early("ICD9CM//", "-1")),
    "a code in 50 % of the deaths": (
        "eicu", _of_some("'CHART//told'", "died AND share < 0.5")),
    "a code in 70 % of the deaths": (
        "eicu", _of_some("'CHART//told'", "died AND share < 0.7")),
    "the deaths spread over 10 codes": (
        "eicu", _of_some("'CHART//told ' || n % 10", "died")),
    "a noisy copy of the label, as a code": ("eicu", _of_some("'CHART//told'", _NOISY)),
    "a noisy copy of the label, as a number": (
        "eicu", _of_some("'LAB//told'", "true", f"died::INTEGER + 0.4 * {_NORMAL}")),
    "a measurement with an AUROC of 0.88": (
        "eicu", _of_some("'LAB//told'", "true", f"died::INTEGER + 0.6 * {_NORMAL}")),
    "a measurement that is extreme at both ends in deaths": (
        "eicu", _of_some("'LAB//told'", "true",
                         f"CASE WHEN died THEN 5 * (n % 2) - 2.5 ELSE 0 END + {_NORMAL}")),
    "a noisy copy of the label in four numbers": (
        "eicu", tuple(
            statement
            for k in range(4)
            for statement in _of_some(f"'LAB//told {k}'", "true",
                                      f"died::INTEGER + 0.8 * {_normal(k + 1)}"))),
    "the deaths spread over 60 codes": (
        "eicu", _of_some("'CHART//told ' || n % 60", "died")),
    "half of the deaths spread over 20 codes": (
        "eicu", _of_some("'CHART//told ' || n % 20", "died AND share < 0.5")),
    "the share of deaths in groups of 20 as a number": ("eicu", (ENCODED,)),
    "discharge destination as the admission location": (
        "eicu", (WRITTEN_LATER.format(where="true"),)),
    "discharge destination as the admission location, where it is neither home nor death": (
        "eicu", (WRITTEN_LATER.format(
            where="NOT regexp_matches(c.code, 'Death|Home$|UNKNOWN')"),)),
    "comfort care at the admission": (
        "eicu", (AT_ADMISSION.format(code="'CHART//comfort measures only'",
                                     where="died AND share < 0.15"),)),
    "an organ donor at the admission": (
        "eicu", (AT_ADMISSION.format(code="'SERVICE//organ donor'",
                                     where="died AND share < 0.1"),)),
    "the hospital reveals the outcome": (
        "eicu", _of_some("'SERVICE//hospital ' || CASE WHEN died THEN n % 4 ELSE 4 + n % 16 END",
                         "true")),
    "the number of codes reveals the outcome": ("eicu", (FILLED,)),
    "one code is charted more often in deaths": ("eicu", (REPEATED,)),
    "the last digit of a measurement is even in deaths": (
        "eicu", _of_some("'LAB//told'", "true",
                         f"2 * round(5 * ({_normal(9)}) + 50) + (NOT died)::INTEGER")),
    "patients twice": ("mimic3", _twice(_CODE)),
    "patients twice, one code changed": ("mimic3", _twice(_ONE_CHANGED)),
    "patients twice, 10 % of the codes dropped": ("mimic3", _twice(_SOME_DROPPED)),
}  # fmt: skip
"""The SQL planted into the events, by the name of the attack."""


def _carry_out(bench: Bench, *, name: str, data: str, statements: Sequence[str]) -> Outcome:
    return bench.audit_events(bench.plant(data, name, statements))


def _same(_: Bench, labels: pa.Table) -> pa.Table:
    return labels


def _another_hour(_: Bench, labels: pa.Table) -> pa.Table:
    """Move the prediction for deaths four hours earlier."""
    times = labels["prediction_time"].to_numpy()
    died = labels["boolean_value"].to_numpy()
    moved = np.where(died, times - np.timedelta64(4, "h"), times)
    return labels.set_column(1, "prediction_time", pa.array(moved, pa.timestamp("us")))


def _another_zone(_: Bench, labels: pa.Table) -> pa.Table:
    """Label the wall-clock times as New York time."""
    times = pc.assume_timezone(
        labels["prediction_time"], "America/New_York", ambiguous="earliest", nonexistent="earliest"
    )
    return labels.set_column(1, "prediction_time", times)


def _hours_left(bench: Bench, labels: pa.Table) -> NDArray[np.float64]:
    """Return the hours from each prediction to the end of its stay: (label,)."""
    with open_events(bench.events("eicu")).connect() as connection:
        query = "SELECT subject_id, time FROM events WHERE code LIKE 'HOSPITAL_DISCHARGE%'"
        ends = dict(connection.execute(query).fetchall())
    rows = labels.to_pylist()
    left = [ends[row["subject_id"]] - row["prediction_time"] for row in rows]
    return np.array([each.total_seconds() / 3600 for each in left])


def _short_survivors(bench: Bench, labels: pa.Table) -> pa.Table:
    """Keep the survivors who leave within a day, and all deaths."""
    died = labels["boolean_value"].to_numpy()
    return labels.filter(pa.array(died | (_hours_left(bench, labels) <= 24)))


def _long_survivors(bench: Bench, labels: pa.Table) -> pa.Table:
    """Keep the survivors who stay for another five days, and all deaths."""
    died = labels["boolean_value"].to_numpy()
    return labels.filter(pa.array(died | (_hours_left(bench, labels) > 120)))


def _soon(bench: Bench, labels: pa.Table) -> pa.Table:
    """Keep the deaths within two days, and all survivors."""
    died = labels["boolean_value"].to_numpy()
    return labels.filter(pa.array(~died | (_hours_left(bench, labels) <= 48)))


def _before_the_end(bench: Bench, labels: pa.Table) -> pa.Table:
    """Move each prediction to about a day before the end of the stay."""
    hours = _hours_left(bench, labels)
    early = 24 + np.random.default_rng(0).uniform(0, 2, len(hours))
    times = labels["prediction_time"].to_numpy() + (np.maximum(hours - early, 0) * 3600).astype(
        "timedelta64[s]"
    )
    return labels.set_column(1, "prediction_time", pa.array(times, pa.timestamp("us")))


def _some(_: Bench, labels: pa.Table) -> pa.Table:
    """Keep two thirds of the labels, chosen by chance."""
    return labels.filter(pa.array(np.random.default_rng(0).random(len(labels)) < 2 / 3))


def _with_labels(bench: Bench, *, name: str, change: Change) -> Outcome:
    root = bench.plant("eicu", name, ())
    path = root / "changed.parquet"
    parquet.write_table(change(bench, read_labels(root / "labels.parquet")), path)
    return bench.audit_events(root, path)


LABELS: dict[str, Change] = {
    "nothing planted in a label file": _same,
    "deaths predicted at another hour than survivors": _another_hour,
    "label times in another zone": _another_zone,
    "a part of the labels, drawn by chance": _some,
    "of the survivors, only those who leave within a day": _short_survivors,
    "of the survivors, only those who stay for five more days": _long_survivors,
    "of the deaths, only those within two days": _soon,
    "all are asked a day before the end of the stay": _before_the_end,
}


ATTACKS = (
    *(
        Attack(
            name,
            partial(_carry_out, name=name, data=data, statements=statements),
            planted=bool(statements),
        )
        for name, (data, statements) in _PLANTED.items()
    ),
    *(
        Attack(
            name,
            partial(_with_labels, name=name, change=change),
            planted=change not in (_same, _some),
        )
        for name, change in LABELS.items()
    ),
)
