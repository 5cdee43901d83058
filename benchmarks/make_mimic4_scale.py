"""Synthetic tables of a share of MIMIC-IV 3.1's size, in its columns and files; no real data.

Patients, admissions, stays in intensive care, diagnoses, laboratory results and bedside
observations in the numbers that MIMIC-IV publishes (364,627 patients, 158 million results, 433
million observations), made in blocks of 1/200 of that size, so that memory does not grow with the
share. Rows are in the order of patients, as published, and each table is one gzip file. Items
follow a Zipf law; each has a unit, a mean and a spread of its own, and a third of the bedside items
hold text. 2 % of admissions, always a patient's last, end in death; their results move away from
the mean by one spread.

    python benchmarks/make_mimic4_scale.py FOLDER [--share 0.05] [--seed 0]

1/20 of the size (the default) gives 29.5 million rows in 0.6 GB and needs about half a minute.
"""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from isal import igzip
from numpy.typing import NDArray

BLOCKS = 200
SUBJECTS, ADMISSIONS, ICU_STAYS = 364_627, 546_028, 94_458
DIAGNOSES, LABS, CHARTED = 6_364_488, 158_374_764, 432_997_491
LAB_ITEMS, CHART_ITEMS, DIAGNOSIS_CODES = 1_000, 2_300, 20_000
DEATHS = 0.02
UNITS = ["mg/dL", "mEq/L", "%", "mmHg", "bpm", "K/uL", "g/dL", "insp/min", None, "°C"]
WORDS = ["WNL", "Alert", "Clear", "Normal Saline", "Soft", "Regular", "Intact, warm", "None"]
TEXTS = 3  # every third bedside item
DAY = 24 * 60
BEGIN = np.datetime64("2110-01-01T00:00:00", "us")

Ints = NDArray[np.int64]


def spread(rng: np.random.Generator, rows: int, over: int) -> Ints:
    """Draw the place of each row, rising: a few places have many rows."""
    share = rng.gamma(0.7, 1.0, over)
    return np.repeat(np.arange(over), rng.multinomial(rows, share / share.sum()))


def zipf(rng: np.random.Generator, rows: int, over: int) -> Ints:
    """Draw numbers below ``over`` with probability falling as 1 / rank."""
    total = np.cumsum(1 / np.arange(1, over + 1) ** 1.05)
    drawn: Ints = np.searchsorted(total, rng.random(rows) * total[-1]).clip(max=over - 1)
    return drawn


def at(minutes: Ints) -> NDArray[np.datetime64]:
    """Return the times of minutes after the first year began."""
    return BEGIN + minutes.astype("m8[m]")


def items(seed: int, first: int, count: int) -> pl.DataFrame:
    """Describe items, the same in all blocks."""
    rng = np.random.default_rng([seed, first])
    return pl.DataFrame(
        {
            "itemid": first + rng.permutation(count * 3)[:count],
            "valueuom": pl.Series(UNITS).gather(rng.integers(0, len(UNITS), count)),
            "mean": rng.lognormal(3, 1.2, count).round(1),
            "step": 10.0 ** rng.integers(0, 2, count),
        }
    )


def results(
    rng: np.random.Generator, table: pl.DataFrame, rows: int, moved: NDArray[np.bool_]
) -> pl.DataFrame:
    """Draw an item and a value for each row."""
    found = table[zipf(rng, rows, len(table))]
    mean, step = (found[name].to_numpy() for name in ("mean", "step"))
    value = np.abs(mean * (1 + 0.2 * (rng.standard_normal(rows) + moved)))
    return found.select("itemid", "valueuom", valuenum=np.round(value * step) / step)


def block(number: int, seed: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """Make the tables of 1/200 of the size; ids of different blocks differ, and rise."""
    rng = np.random.default_rng([seed, number])
    n_subjects, n_stays, n_icu = (n // BLOCKS for n in (SUBJECTS, ADMISSIONS, ICU_STAYS))
    ids = 10_000_000 + number * 49_000 + np.sort(rng.permutation(49_000)[:n_subjects])
    # Everybody has a stay, and some have more.
    of = np.sort(
        np.append(np.arange(n_subjects), rng.integers(0, n_subjects, n_stays - n_subjects))
    )
    rank = np.arange(n_stays) - np.searchsorted(of, of)
    entry = rng.integers(0, 80 * 365 * DAY, n_subjects)
    begin = entry[of] + rank * 120 * DAY + rng.integers(0, 60 * DAY, n_stays)
    end = begin + 300 + (np.minimum(rng.gamma(1.5, 3.5, n_stays), 60) * DAY).astype(np.int64)
    last = np.append(of[1:] != of[:-1], True)
    death = last & (rng.random(n_stays) < DEATHS * n_stays / n_subjects)
    hadm = 20_000_000 + number * 50_000 + rng.permutation(50_000)[:n_stays]
    yield "hosp/patients", patients(rng, ids, entry)
    yield "hosp/admissions", admissions(rng, ids[of], hadm, at(begin), at(end), death)
    icu = np.sort(rng.choice(n_stays, n_icu, replace=False))
    stay_id = 30_000_000 + number * 50_000 + np.arange(n_icu)
    within = begin[icu] + (end - begin)[icu] // 8
    length = (end - begin)[icu] // 2
    yield (
        "icu/icustays",
        icu_stays(ids[of[icu]], hadm[icu], stay_id, at(within), at(within + length)),
    )
    where = spread(rng, DIAGNOSES // BLOCKS, n_stays)
    code = zipf(rng, len(where), DIAGNOSIS_CODES)
    yield "hosp/diagnoses_icd", diagnoses(ids[of[where]], hadm[where], code, where)
    stay = spread(rng, LABS // BLOCKS, n_stays)
    time = (begin + ((end - begin) * rng.random(n_stays)).astype(np.int64))[stay]
    time = time - time % 17 + rng.integers(0, 8, len(stay)) * 360
    yield "hosp/labevents", labs(rng, number, ids[of[stay]], hadm[stay], time, death[stay], seed)
    stay = spread(rng, CHARTED // BLOCKS, n_icu)
    time = within[stay] + (rng.random(len(stay)) * (length[stay] // 60)).astype(np.int64) * 60
    frame = charted(rng, ids[of[icu[stay]]], hadm[icu[stay]], time, death[icu[stay]], seed)
    yield "icu/chartevents", frame.insert_column(2, pl.Series("stay_id", stay_id[stay]))


def patients(rng: np.random.Generator, ids: Ints, entry: Ints) -> pl.DataFrame:
    """Adults; nobody's date of death is known."""
    n = len(ids)
    return pl.DataFrame(
        {
            "subject_id": ids,
            "gender": rng.choice(["M", "F"], n),
            "anchor_age": rng.integers(18, 90, n),
            "anchor_year": 2110 + entry // (365 * DAY),
            "anchor_year_group": ["2011 - 2013"] * n,
            "dod": pl.Series([None] * n, dtype=pl.String),
        }
    )


def admissions(
    rng: np.random.Generator,
    of: Ints,
    hadm: Ints,
    begin: NDArray[Any],
    end: NDArray[Any],
    death: NDArray[np.bool_],
) -> pl.DataFrame:
    """Make the table of stays."""
    n = len(hadm)
    blank = pl.Series([None] * n, dtype=pl.String)
    return pl.DataFrame(
        {
            "subject_id": of,
            "hadm_id": hadm,
            "admittime": begin,
            "dischtime": end,
            "deathtime": pl.Series(end).set(pl.Series(~death), None),
            "admission_type": rng.choice(["EW EMER.", "ELECTIVE", "URGENT"], n),
            "admit_provider_id": ["P1"] * n,
            "admission_location": ["EMERGENCY ROOM"] * n,
            "discharge_location": np.where(death, "DIED", "HOME"),
            "insurance": rng.choice(["Medicare", "Private"], n),
            "language": ["English"] * n,
            "marital_status": ["MARRIED"] * n,
            "race": ["WHITE"] * n,
            "edregtime": blank,
            "edouttime": blank,
            "hospital_expire_flag": death.astype(np.int64),
        }
    )


def icu_stays(
    of: Ints, hadm: Ints, stay_id: Ints, begin: NDArray[Any], end: NDArray[Any]
) -> pl.DataFrame:
    """Make the table of stays in intensive care."""
    n = len(hadm)
    unit = ["Medical Intensive Care Unit (MICU)"] * n
    return pl.DataFrame(
        {
            "subject_id": of,
            "hadm_id": hadm,
            "stay_id": stay_id,
            "first_careunit": unit,
            "last_careunit": unit,
            "intime": begin,
            "outtime": end,
            "los": (end - begin) / np.timedelta64(1, "D"),
        }
    )


def diagnoses(of: Ints, hadm: Ints, code: Ints, stay: Ints) -> pl.DataFrame:
    """Make the table of diagnoses; half of the codes are of ICD-9."""
    old = code % 2 == 0
    text = pl.Series(code + 1_000).cast(pl.String)
    return pl.DataFrame(
        {
            "subject_id": of,
            "hadm_id": hadm,
            "seq_num": np.arange(len(stay)) - np.searchsorted(stay, stay) + 1,
            "icd_code": pl.select(
                pl.when(pl.Series(old)).then(text).otherwise("I" + text)
            ).to_series(),
            "icd_version": np.where(old, 9, 10),
        }
    )


def labs(
    rng: np.random.Generator,
    number: int,
    of: Ints,
    hadm: Ints,
    time: Ints,
    moved: NDArray[np.bool_],
    seed: int,
) -> pl.DataFrame:
    """Make the table of laboratory results; a third are from outside of a stay."""
    n = len(of)
    first = number * n
    outside = pl.Series((time // 8) % 3 == 0)
    found = results(rng, items(seed, 50_800, LAB_ITEMS), n, moved)
    return found.select(
        labevent_id=pl.Series(first + np.arange(n)),
        subject_id=pl.Series(of),
        hadm_id=pl.when(~outside).then(pl.Series(hadm)),
        specimen_id=pl.Series(first // 4 + np.arange(n) // 4 + 1_000_000),
        itemid="itemid",
        order_provider_id=pl.lit(None, pl.String),
        charttime=pl.Series(at(time)),
        storetime=pl.Series(at(time + rng.integers(10, 200, n))),
        value=pl.col("valuenum").cast(pl.String),
        valuenum="valuenum",
        valueuom="valueuom",
        ref_range_lower=pl.lit(3.5),
        ref_range_upper=pl.lit(9.5),
        flag=pl.when(pl.col("valuenum") > 40).then(pl.lit("abnormal")),
        priority=pl.when(pl.Series(rng.random(n) < 0.5))
        .then(pl.lit("ROUTINE"))
        .otherwise(pl.lit("STAT")),
        comments=pl.when(pl.Series(rng.random(n) < 0.15)).then(pl.lit("___")),
    )


def charted(
    rng: np.random.Generator,
    of: Ints,
    hadm: Ints,
    time: Ints,
    moved: NDArray[np.bool_],
    seed: int,
) -> pl.DataFrame:
    """Make the table of bedside observations, without ``stay_id``."""
    n = len(of)
    found = results(rng, items(seed, 220_000, CHART_ITEMS), n, moved)
    text = pl.col("itemid") % TEXTS == 0
    words = pl.Series(WORDS).gather(rng.integers(0, len(WORDS), n))
    return found.select(
        subject_id=pl.Series(of),
        hadm_id=pl.Series(hadm),
        caregiver_id=pl.Series(10_000 + hadm % 90_000),
        charttime=pl.Series(at(time)),
        storetime=pl.Series(at(time + rng.integers(0, 90, n))),
        itemid="itemid",
        value=pl.when(text).then(words).otherwise(pl.col("valuenum").cast(pl.String)),
        valuenum=pl.when(~text).then("valuenum"),
        valueuom=pl.when(~text).then("valueuom"),
        warning=pl.lit(0),
    )


def make(folder: Path, share: float = 0.05, seed: int = 0) -> None:
    """Write the tables of a share of MIMIC-IV's size as ``.csv.gz``."""
    with ExitStack() as stack:
        files: dict[str, Any] = {}
        for number in range(max(1, round(share * BLOCKS))):
            for name, table in block(number, seed):
                if name not in files:
                    path = folder / f"{name}.csv.gz"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    raw = stack.enter_context(path.open("wb"))
                    files[name] = stack.enter_context(
                        igzip.IGzipFile("", "wb", 2, fileobj=raw, mtime=0)
                    )
                text = table.write_csv(
                    include_header=number == 0, datetime_format="%Y-%m-%d %H:%M:%S"
                )
                files[name].write(text.encode())


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--share", type=float, default=0.05)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    make(given.folder, given.share, given.seed)
