"""Attacks on records and labels: information from the future, or that reveals the outcome."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from sequela.attacks.attack import Attack, Outcome
from sequela.attacks.bench import Bench
from sequela.cohort.labels import read_labels

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
    "the hospital reveals the outcome": (
        "eicu", _of_some("'SERVICE//hospital ' || CASE WHEN died THEN n % 4 ELSE 4 + n % 16 END",
                         "true")),
    "the number of codes reveals the outcome": ("eicu", (FILLED,)),
    "patients twice": ("mimic3", _twice(_CODE)),
    "patients twice, one code changed": ("mimic3", _twice(_ONE_CHANGED)),
    "patients twice, 10 % of the codes dropped": ("mimic3", _twice(_SOME_DROPPED)),
}  # fmt: skip
"""The SQL planted into the events, by the name of the attack."""


def _carry_out(bench: Bench, *, name: str, data: str, statements: Sequence[str]) -> Outcome:
    return bench.audit_events(bench.plant(data, name, statements))


def _same(labels: pa.Table) -> pa.Table:
    return labels


def _another_hour(labels: pa.Table) -> pa.Table:
    """Move the prediction for deaths four hours earlier."""
    times = labels["prediction_time"].to_numpy()
    died = labels["boolean_value"].to_numpy()
    moved = np.where(died, times - np.timedelta64(4, "h"), times)
    return labels.set_column(1, "prediction_time", pa.array(moved, pa.timestamp("us")))


def _another_zone(labels: pa.Table) -> pa.Table:
    """Label the wall-clock times as New York time."""
    times = pc.assume_timezone(
        labels["prediction_time"], "America/New_York", ambiguous="earliest", nonexistent="earliest"
    )
    return labels.set_column(1, "prediction_time", times)


def _with_labels(bench: Bench, *, name: str, change: Callable[[pa.Table], pa.Table]) -> Outcome:
    root = bench.plant("eicu", name, ())
    path = root / "changed.parquet"
    parquet.write_table(change(read_labels(root / "labels.parquet")), path)
    return bench.audit_events(root, path)


LABELS: dict[str, Callable[[pa.Table], pa.Table]] = {
    "nothing planted in a label file": _same,
    "deaths predicted at another hour than survivors": _another_hour,
    "label times in another zone": _another_zone,
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
        Attack(name, partial(_with_labels, name=name, change=change), planted=change is not _same)
        for name, change in LABELS.items()
    ),
)
