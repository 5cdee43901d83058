"""``sequela audit``: the data of a run are looked at again, and the status says what was found."""

import json
import shutil
from pathlib import Path

import pytest
from tests.cli.calls import Refused, ran, status


@pytest.fixture(scope="module")
def clean(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("audit") / "clean"
    ran("train", "majority-class", "--data", "bonn", "--root", synthetic, "--out", out)
    return out


def test_a_clean_run_ends_with_0(
    clean: Path, synthetic: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("audit", clean, "--root", synthetic) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-1].startswith("nothing found; checked for: sessions in two sets, ")
    assert status("audit", clean, "--root", synthetic, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["findings"], printed["planned"]) == ([], False)


def test_a_leak_ends_with_3_and_is_printed(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "by-row"
    ran("train", "majority-class", "--data", "bonn", "--root", synthetic, "--out", run,
        "--split", "row")  # fmt: skip
    capsys.readouterr()
    assert status("audit", run, "--root", synthetic) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("LEAK: 50 sessions are in both parts, ")
    assert lines[1].endswith("(train, tuning); split by session")
    assert lines[-1] == "leaks by design"
    assert status("audit", run, "--root", synthetic, "--json") == 3
    printed = json.loads(capsys.readouterr().out)
    assert {found["check"] for found in printed["findings"]} == {"overlapping groups"}
    assert printed["planned"] is True


def test_suspicions_alone_end_with_4(
    clean: Path,
    synthetic: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sequela.cohort.overlaps.REVEALING_AUROC", 0.5)
    monkeypatch.setattr("sequela.cohort.overlaps._CHANCE_OF_COLUMN", 1e6)
    assert status("audit", clean, "--root", synthetic) == 4
    assert "SUSPICION: its values alone predict" in capsys.readouterr().out


def test_folds_are_audited_together(
    synthetic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "folds"
    ran("train", "majority-class", "--data", "bonn", "--root", synthetic, "--out", run,
        "--folds", "3")  # fmt: skip
    assert status("audit", run, "--root", synthetic) == 0
    assert "nothing found" in capsys.readouterr().out


def test_other_data_than_those_of_the_run(
    clean: Path, synthetic: Path, tmp_path: Path, refused: Refused
) -> None:
    changed = shutil.copytree(synthetic, tmp_path / "changed")
    (changed / "S/S001.txt").write_text("7\n" * 4097, "utf-8")
    line = refused("audit", clean, "--root", changed)
    assert "was trained on other data than those found now" in line


@pytest.mark.parametrize("arguments", [(), ("runs/gru", "--attack")])
def test_a_run_or_an_attack(arguments: tuple[str, ...], refused: Refused) -> None:
    assert "name one run folder, or use --attack without a run folder" in refused(
        "audit", *arguments
    )
