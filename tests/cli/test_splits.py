"""Splits that the data do not allow: refused in one line, which names those that they allow."""

from pathlib import Path

import pytest
from tests.cli.calls import Refused

CANNOT = [
    ("mimic3", "time", "MIMIC shifts dates patient by patient, so their order is unknown"),
    ("mimic4", "time", "MIMIC shifts dates patient by patient"),
    ("mimic4", "site", "all its patients are of one hospital; use --split subject"),
    ("eicu", "time", "only the year of discharge; use --split subject or --split site"),
    ("physionet2012", "time", "without a date; use --split subject"),
    ("physionet2012", "site", "the hospital of a stay is not published; use --split subject"),
    ("nafld", "time", "days count from each person's entry"),
    ("meds", "row", "patients, who stay whole; use --split subject or --split site or --split ti"),
    ("bonn", "site", "its entry in the catalogue names no sites; use --split session or --split"),
]


@pytest.mark.parametrize(("data", "split", "why"), CANNOT)
def test_data_that_do_not_have_the_unit(
    data: str, split: str, why: str, refused: Refused, tmp_path: Path
) -> None:
    model = "gru-improved" if data == "bonn" else "visits-baseline"
    said = refused("train", model, "--data", data, "--split", split, "--out", tmp_path / "run")
    assert f"{data} cannot be split by {split}: " in said
    assert why in said
    assert not (tmp_path / "run").exists()


def test_folds_by_time_are_refused(refused: Refused, tmp_path: Path) -> None:
    asked = ["prevalence", "--data", "meds", "--root", tmp_path, "--out", tmp_path / "run"]
    said = refused("train", *asked, "--split", "time", "--folds", "3")
    assert "meds cannot be cross-validated by time" in said
    assert not (tmp_path / "run").exists()
