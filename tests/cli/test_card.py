"""``sequela card`` and ``sequela explain`` as a user sees them."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.calls import Output, Refused

from sequela.runs.manifest import seal


def test_card_says_where_it_is(network_run: Path, tmp_path: Path, output_of: Output) -> None:
    out = tmp_path / "card.md"
    assert output_of("card", network_run, "--out", out) == f"card: {out}\n"
    head = out.read_text("utf-8").split("---\n")[1]
    assert json.loads(head)["license"] == "other"


def test_card_of_no_run_is_refused(tmp_path: Path, refused: Refused) -> None:
    assert "expected a run folder" in refused("card", tmp_path, "--out", tmp_path / "card.md")
    assert "a name that ends in .md" in refused("card", tmp_path, "--out", tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_explain_prints_the_completeness_error(
    network_run: Path, synthetic: Path, tmp_path: Path, output_of: Output
) -> None:
    out = tmp_path / "why.html"
    words = ("--example", "S001/02", "--class", "seizure", "--root", synthetic, "--out", out)
    shown = output_of("explain", network_run, *words)
    assert shown.startswith("example 1: seizure (")
    assert "S001" not in shown
    assert "S001" not in out.read_text("utf-8")
    first, second, last = output_of("explain", network_run, *words, "--ids").splitlines()
    assert first.startswith("S001/02: seizure (")
    assert "logit of seizure: " in second
    assert "completeness error " in second
    assert last == f"page: {out}"
    assert out.exists()


def test_explain_without_captum_says_what_to_install(
    network_run: Path,
    synthetic: Path,
    tmp_path: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    out = tmp_path / "why.html"
    line = refused("explain", network_run, "--root", synthetic, "--out", out)
    assert "pip install 'sequela[explain]'" in line
    assert not out.exists()


def test_explain_of_folds_names_a_fold(
    network_run: Path, tmp_path: Path, folds_record: dict[str, Any], refused: Refused
) -> None:
    (tmp_path / "folds.json").write_text(json.dumps(folds_record), "utf-8")
    assert "the runs are not finished" in refused("explain", tmp_path)
    shutil.copytree(network_run, tmp_path / "fold-00")
    seal(tmp_path)
    assert f"name one, for example {tmp_path}/fold-00" in refused("explain", tmp_path)
