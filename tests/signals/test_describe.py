import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.cli.calls import ran

from sequela.config import SignalSettings
from sequela.errors import DataError, DataNotFoundError
from sequela.intake.describe_signals import propose
from sequela.signals import segment_tables
from sequela.signals.reading import read

Edf = Callable[..., Path]


def decided(text: str, **values: str) -> str:
    """A proposal with what a person decides."""
    for name, value in values.items():
        assert f"# {name} = \n" in text, (name, text)
        text = text.replace(f"# {name} = \n", f"{name} = {value}\n")
    return text


def test_a_table_and_what_its_declaration_reads(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    names = [f"X{n}" for n in range(1, 21)]
    rows = [f"p{n},{'AB'[n % 2]}," + ",".join(["1.5"] * 19 + ["2"]) for n in range(6)]
    path.write_text("\n".join([f"Patient,stage,{','.join(names)}", *rows]) + "\n", "utf-8")
    text = propose(path)
    assert text.count("# DECIDE: ") == 3  # recording, rate and unit
    found = tomllib.loads(decided(text, rate="20", unit='"mV"'))
    assert found == {
        "subject": "Patient", "label": "stage", "samples": "X*", "classes": ["A", "B"],
        "rate": 20, "unit": "mV",
    }  # fmt: skip
    assert read(path, SignalSettings(**found)).signal.shape == (6, 1, 20)


def test_a_table_with_semicolons(tmp_path: Path) -> None:
    head = ["id", *(f"X{n}" for n in range(1, 21)), "y"]
    rows = [[f"r{k}", *["1,5"] * 20, "ab"[k % 2]] for k in range(8)]
    lines = [";".join(row) for row in [head, *rows]]
    (tmp_path / "segments.csv").write_text("\n".join(lines), "utf-8")
    said = propose(tmp_path / "segments.csv")
    assert 'format.separator = ";"' in said
    assert 'format.decimal = ","' in said
    assert 'classes = ["a", "b"]' in said
    with pytest.raises(DataError, match="add --format 'separator=;'"):
        segment_tables.columns_of(tmp_path / "segments.csv")


def test_an_npz_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", X=np.zeros((4, 2, 30)), y=np.arange(4))
    text = propose(tmp_path / "own.npz")
    assert "# array X: 4 x 2 x 30" in text
    assert tomllib.loads(text) == {"label": "y"}


def test_a_folder_and_what_its_declaration_reads(edf: Edf, tmp_path: Path) -> None:
    for who in "ab":
        edf(f"{who}/1.edf", ("EEG C3-REF", "EEG T3-REF", f"EEG F{ord(who) % 8}-REF"),
            annotations=[(0, 4, "W"), (4, 6, "N")])  # fmt: skip
    text = propose(tmp_path)
    assert "# 2 recordings, 0.01 hours\n# rates of channels: 128 Hz (6)\n" in text
    assert "Found: 'W' (2), 'N' (2)" in text
    whole = decided(text, window="2", classes='["W", "N"]')
    found = tomllib.loads(whole)
    assert found == {
        "channels": ["C3", "T7"], "subject": "folder", "events": "annotations",
        "window": 2, "classes": ["W", "N"],
    }  # fmt: skip
    (tmp_path / "signals.toml").write_text(whole, "utf-8")
    assert read(tmp_path).label.tolist() == [0, 0, 1, 1, 1] * 2


def test_the_command(edf: Edf, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = edf("a.edf")
    out = tmp_path / "proposed.toml"
    ran("data", "describe", path)
    ran("data", "describe", path, "--out", out)
    printed = capsys.readouterr().out
    assert printed.startswith(out.read_text("utf-8"))
    assert "no events were found" in printed


def test_nothing_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none; expected one table"):
        propose(tmp_path)
    with pytest.raises(DataNotFoundError):
        propose(tmp_path / "nowhere")
