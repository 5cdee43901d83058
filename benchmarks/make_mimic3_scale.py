"""Synthetic tables of MIMIC-III 1.4's size, or a multiple of it, in its layout; no real data.

Patients, admissions, stays in intensive care, diagnoses, procedures and prescriptions in the
numbers that MIMIC-III publishes, a block of that size for each unit of ``--scale``, so that memory
does not grow with it. Codes follow a Zipf law; 10 % of admissions, always a patient's last, end in
death, and these and the ones before them draw a quarter of their diagnoses from 40 severe codes.

    python benchmarks/make_mimic3_scale.py FOLDER [--scale 10] [--seed 0]
"""

import argparse
import gzip
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

PATIENTS, ADMISSIONS, READMITTED = 46_520, 58_976, 7_537
DIAGNOSES, PROCEDURES, ICU_STAYS = 651_047, 240_095, 61_532
DIAGNOSIS_CODES, PROCEDURE_CODES, DRUGS = 6_984, 2_009, 4_200
SEVERE = slice(200, 240)
MINUTES_PER_DAY = 24 * 60

Ints = NDArray[np.int64]


def zipf_draw(rng: np.random.Generator, names: NDArray[Any], n: int) -> NDArray[Any]:
    """Names drawn with probability falling as 1 / rank."""
    weight = 1 / np.arange(1, len(names) + 1) ** 1.05
    drawn: NDArray[Any] = names[rng.choice(len(names), n, p=weight / weight.sum())]
    return drawn


def coded(rng: np.random.Generator, n: int) -> tuple[Ints, Ints]:
    """An admission and a sequence number for each of n coded rows."""
    share = rng.gamma(3.0, 1.0, ADMISSIONS)
    counts = rng.multinomial(n, share / share.sum())
    first = np.cumsum(counts) - counts
    return np.repeat(np.arange(ADMISSIONS), counts), np.arange(n) - np.repeat(first, counts) + 1


def admissions(rng: np.random.Generator) -> dict[str, Any]:
    """Patient, begin, end and death of each admission, sorted by patient and time."""
    n_stays = np.ones(PATIENTS, np.int64)
    again = rng.choice(PATIENTS, READMITTED, replace=False)
    n_stays[again] += 1
    weight = 1 / np.arange(1, READMITTED + 1) ** 0.6
    n_stays[again] += rng.multinomial(ADMISSIONS - n_stays.sum(), weight / weight.sum())
    patient = np.repeat(np.arange(PATIENTS), n_stays)
    number = np.arange(ADMISSIONS) - np.repeat(np.cumsum(n_stays) - n_stays, n_stays)
    entry = rng.integers(0, 100 * 365 * MINUTES_PER_DAY, PATIENTS)
    gap = 200 * MINUTES_PER_DAY
    begin = entry[patient] + number * gap + rng.integers(0, gap // 2, ADMISSIONS)
    days = np.minimum(rng.gamma(1.5, 6.5, ADMISSIONS), 90)
    last = np.append(patient[1:] != patient[:-1], True)
    death = last & (rng.random(ADMISSIONS) < 0.1 * ADMISSIONS / PATIENTS)
    end = begin + 60 + (days * MINUTES_PER_DAY).astype(np.int64)
    return {"patient": patient, "begin": begin, "end": end, "death": death}


def at(minutes: Ints) -> NDArray[np.datetime64]:
    """Times of minutes after the year 2100 began."""
    return np.datetime64("2100-01-01T00:00", "us") + minutes.astype("m8[m]")


def block(number: int, seed: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """The tables of one block of MIMIC-III's size; ids of different blocks differ."""
    rng = np.random.default_rng([seed, number])
    stays = admissions(rng)
    names = np.random.default_rng(seed)  # the same codes in all blocks
    subject = (np.arange(PATIENTS) + number * PATIENTS) * 2 + 3
    hadm = rng.permutation(ADMISSIONS) + number * ADMISSIONS + 100_000
    of, death = subject[stays["patient"]], stays["death"]
    begin, end = at(stays["begin"]), at(stays["end"])
    yield "PATIENTS", patients(rng, subject)
    yield "ADMISSIONS", admission_table(rng, of, hadm, begin, end, death)
    icu_stay = np.arange(ICU_STAYS) + number * ICU_STAYS + 200_000
    yield "ICUSTAYS", icu_stays(rng, of, hadm, begin, end, icu_stay)
    stay, rank = coded(rng, DIAGNOSES)
    codes = names.choice(np.arange(1_000, 99_999), DIAGNOSIS_CODES, replace=False).astype(str)
    drawn = zipf_draw(rng, codes, DIAGNOSES)
    near = death.copy()
    near[:-1] |= death[1:] & (of[:-1] == of[1:])
    severe = near[stay] & (rng.random(DIAGNOSES) < 0.25)
    drawn[severe] = rng.choice(codes[SEVERE], severe.sum())
    yield "DIAGNOSES_ICD", code_table(of[stay], hadm[stay], rank, drawn)
    stay, rank = coded(rng, PROCEDURES)
    codes = names.choice(np.arange(100, 9_999), PROCEDURE_CODES, replace=False).astype(str)
    drawn = zipf_draw(rng, codes, PROCEDURES)
    yield "PROCEDURES_ICD", code_table(of[stay], hadm[stay], rank, drawn)
    drugs = names.choice(10**10, DRUGS, replace=False).astype(str)
    yield "PRESCRIPTIONS", prescriptions(rng, of, hadm, begin, end, drugs)


def patients(rng: np.random.Generator, subject: Ints) -> pl.DataFrame:
    """Adults, nobody's date of death known."""
    n = len(subject)
    age = rng.integers(18 * 365, 90 * 365, n).astype("m8[D]")
    return pl.DataFrame(
        {
            "ROW_ID": subject,
            "SUBJECT_ID": subject,
            "GENDER": rng.choice(["M", "F"], n),
            "DOB": np.datetime64("2100-01-01T00:00", "us") - age,
            "DOD": pl.Series([None] * n, dtype=pl.String),
            "DOD_HOSP": pl.Series([None] * n, dtype=pl.String),
            "DOD_SSN": pl.Series([None] * n, dtype=pl.String),
            "EXPIRE_FLAG": np.zeros(n, np.int64),
        }
    )


def admission_table(
    rng: np.random.Generator,
    of: Ints,
    hadm: Ints,
    begin: NDArray[Any],
    end: NDArray[Any],
    death: NDArray[np.bool_],
) -> pl.DataFrame:
    """ADMISSIONS, in no order."""
    n = len(hadm)
    blank = pl.Series([None] * n, dtype=pl.String)
    table = pl.DataFrame(
        {
            "ROW_ID": hadm,
            "SUBJECT_ID": of,
            "HADM_ID": hadm,
            "ADMITTIME": begin,
            "DISCHTIME": end,
            "DEATHTIME": pl.Series(end).set(pl.Series(~death), None),
            "ADMISSION_TYPE": rng.choice(["EMERGENCY", "ELECTIVE", "URGENT"], n),
            "ADMISSION_LOCATION": ["EMERGENCY ROOM ADMIT"] * n,
            "DISCHARGE_LOCATION": np.where(death, "DEAD/EXPIRED", "HOME"),
            "INSURANCE": rng.choice(["Medicare", "Private"], n),
            "LANGUAGE": ["ENGL"] * n,
            "RELIGION": ["CATHOLIC"] * n,
            "MARITAL_STATUS": ["MARRIED"] * n,
            "ETHNICITY": ["WHITE"] * n,
            "EDREGTIME": blank,
            "EDOUTTIME": blank,
            "DIAGNOSIS": ["SEPSIS"] * n,
            "HOSPITAL_EXPIRE_FLAG": death.astype(np.int64),
            "HAS_CHARTEVENTS_DATA": np.ones(n, np.int64),
        }
    )
    return table[rng.permutation(n)]


def icu_stays(
    rng: np.random.Generator,
    of: Ints,
    hadm: Ints,
    begin: NDArray[Any],
    end: NDArray[Any],
    icu_stay: Ints,
) -> pl.DataFrame:
    """ICUSTAYS: as long as the admission that they are in."""
    stay = rng.integers(0, len(hadm), ICU_STAYS)
    return pl.DataFrame(
        {
            "ROW_ID": icu_stay,
            "SUBJECT_ID": of[stay],
            "HADM_ID": hadm[stay],
            "ICUSTAY_ID": icu_stay,
            "DBSOURCE": ["metavision"] * ICU_STAYS,
            "FIRST_CAREUNIT": ["MICU"] * ICU_STAYS,
            "LAST_CAREUNIT": ["MICU"] * ICU_STAYS,
            "FIRST_WARDID": np.ones(ICU_STAYS, np.int64),
            "LAST_WARDID": np.ones(ICU_STAYS, np.int64),
            "INTIME": begin[stay],
            "OUTTIME": end[stay],
            "LOS": (end[stay] - begin[stay]) / np.timedelta64(1, "D"),
        }
    )


def code_table(subject: Ints, hadm: Ints, rank: Ints, codes: NDArray[Any]) -> pl.DataFrame:
    """DIAGNOSES_ICD or PROCEDURES_ICD."""
    return pl.DataFrame(
        {
            "ROW_ID": np.arange(len(hadm)),
            "SUBJECT_ID": subject,
            "HADM_ID": hadm,
            "SEQ_NUM": rank,
            "ICD9_CODE": codes,
        }
    )


def prescriptions(
    rng: np.random.Generator,
    of: Ints,
    hadm: Ints,
    begin: NDArray[Any],
    end: NDArray[Any],
    drugs: NDArray[Any],
) -> pl.DataFrame:
    """PRESCRIPTIONS: one an admission."""
    n = len(hadm)
    text = {"DRUG_TYPE": "MAIN", "DRUG": "Drug", "DRUG_NAME_POE": "Drug"}
    text |= {"DRUG_NAME_GENERIC": "Drug", "FORMULARY_DRUG_CD": "D", "GSN": "1"}
    after = {"PROD_STRENGTH": "5 mg", "DOSE_VAL_RX": "10", "DOSE_UNIT_RX": "mg"}
    after |= {"FORM_VAL_DISP": "2", "FORM_UNIT_DISP": "TAB", "ROUTE": "PO"}
    return pl.DataFrame(
        {
            "ROW_ID": np.arange(n),
            "SUBJECT_ID": of,
            "HADM_ID": hadm,
            "ICUSTAY_ID": pl.Series([None] * n, dtype=pl.String),
            "STARTDATE": begin.astype("M8[D]").astype("M8[us]"),
            "ENDDATE": end.astype("M8[D]").astype("M8[us]"),
            **{name: [value] * n for name, value in text.items()},
            "NDC": zipf_draw(rng, drugs, n),
            **{name: [value] * n for name, value in after.items()},
        }
    )


def make(folder: Path, scale: int = 1, seed: int = 0) -> None:
    """Write the tables of so many blocks as ``.csv.gz``."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        files: dict[str, gzip.GzipFile] = {}
        for number in range(scale):
            for name, table in block(number, seed):
                if name not in files:
                    path = folder / f"{name}.csv.gz"
                    files[name] = stack.enter_context(gzip.open(path, "wb", compresslevel=4))
                text = table.write_csv(
                    include_header=number == 0, datetime_format="%Y-%m-%d %H:%M:%S"
                )
                files[name].write(text.encode())


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--scale", type=int, default=1)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    make(given.folder, given.scale, given.seed)
