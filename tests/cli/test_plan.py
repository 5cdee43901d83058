"""``sequela plan``: what it prints, and what it refuses."""

import json
from pathlib import Path

import pytest
from tests.cli.calls import Output, Refused

from sequela.datasets.catalog import EXCERPTS

TWO = ("--prevalence", "0.12", "--auroc", "0.8")
TIMES = ("--rate", "0.065", "--horizon", "2", "--follow-up", "2.07")


def test_a_plan_before_data(output_of: Output) -> None:
    printed = output_of("plan", *TWO, "--parameters", "30", "--patients", "1000")
    assert "shrinkage of 0.9 or more                  1,951     235  decides" in printed
    assert "calibration slope: interval of width 0.2     3,692     444  decides" in printed
    assert "AUROC, 1,000 patients: 95 % interval of width 0.08" in printed
    assert max(map(len, printed.splitlines())) < 80
    alone = json.loads(output_of("plan", *TWO, "--json"))
    assert alone["training"] == []
    assert [need["patients"] for need in alone["evaluation"]] == [2820, 3692, 713]


def test_a_plan_for_times(output_of: Output) -> None:
    printed = output_of("plan", *TIMES, "--r2", "0.051", "--parameters", "30")
    assert "shrinkage of 0.9 or more                  5,143     692  decides" in printed
    printed = output_of("plan", *TIMES, "--concordance", "0.69", "--parameters", "30")
    assert "R² of Cox and Snell: 0.052" in printed


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "expected a run; or --prevalence and --auroc"),
        (TWO[:2], "expected a run; or --prevalence and --auroc"),
        ((*TWO, *TIMES), "expected a run; or --prevalence and --auroc"),
        ((*TIMES, "--parameters", "3"), "either --concordance or --r2"),
        ((*TIMES, "--concordance", "0.7"), "either --concordance or --r2"),
        ((*TWO[:3], "0.9999999999999999"), "AUROC is 1: expected more than 0.5 and less than 0.99"),
        ((*TWO, "--parameters", "0"), "parameters is 0: expected 1 or more"),
        ((*TWO, "--patients", "-5"), "patients is -5: expected more than 0"),
        ((*TWO, "--parameters", "3", "--shrinkage", "1.2"), "shrinkage is 1.2: expected more than"),
        ((*TWO, "--parameters", "3", "--r2", "0.9"), "R² is 0.9: expected more than 0 and less"),
        (
            ("--prevalence", "12", "--auroc", "0.8"),
            "prevalence is 12: expected more than 0 and les",
        ),
        (("nowhere",), "nowhere: expected a run folder"),
        (("nowhere", *TWO), "a run has its own numbers: leave nowhere or the numbers out"),
        (("nowhere", "--refits", "1"), "--refits is 1: expected 2 or more"),
    ],
)
def test_mistakes_are_refused(options: tuple[str, ...], reason: str, refused: Refused) -> None:
    assert reason in refused("plan", *options)


def test_a_run_on_other_data_is_refused(run: Path, bonn_folder: Path, refused: Refused) -> None:
    line = refused("plan", run, "--root", EXCERPTS / "bonn.parquet", silent=False)
    assert "was trained on other data than those found now" in line
    assert not (run / "plan.json").exists()
    assert "expected" in refused("plan", run, "--root", bonn_folder / "Z", silent=False)
