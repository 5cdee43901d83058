"""The page's declarations read its data, and its commands run."""

import re
import shlex
from pathlib import Path

import edfio
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cli.calls import ran

from sequela.runs.find import open_run
from sequela.sources.signals.reading import read

TEXT = (Path(__file__).parents[2] / "docs" / "signals.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def table(path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {
            "patient": f"p{patient}",
            "stage": stage,
            "C3": rng.normal(scale=scale, size=128).tolist(),
            "C4": rng.normal(scale=scale, size=128).tolist(),
        }
        for patient in range(30)
        for stage, scale in (("W", 10), ("N2", 30), ("R", 20))
        for _ in range(4)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)


def folder(path: Path) -> None:
    rng = np.random.default_rng(0)
    path.mkdir()
    for patient in range(1, 13):
        signal = rng.normal(scale=20, size=(3, 30 * 128))
        signal[:, 10 * 128 : 20 * 128] *= 4
        edfio.Edf(
            [
                edfio.EdfSignal(each, 128, label=f"EEG {name}-REF", physical_dimension="uV")
                for name, each in zip(("Fp1", "F7", "T3"), signal, strict=True)
            ],
            annotations=[edfio.EdfAnnotation(10, 10, "seizure")],
        ).write(path / f"p{patient:02d}_1.edf")


def test_the_page(tmp_path: Path, no_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "own.parquet")
    folder(tmp_path / "eeg")
    of_table, of_folder = blocks("toml")
    (tmp_path / "eeg" / "signals.toml").write_text(of_folder, "utf-8")
    for lines in blocks("sh"):
        for line in lines.splitlines():
            ran(*shlex.split(line)[1:])
    assert open_run(tmp_path / "runs/stages").data["classes"] == ["N2", "R", "W"]
    run = open_run(tmp_path / "runs/seizures")
    assert (run.data["unit"], run.data["counts"]) == ("subject", [240, 120])
    assert (tmp_path / "seizures.html").exists()
    (tmp_path / "signals.toml").write_text(of_table, "utf-8")
    found = read(tmp_path / "own.parquet")
    assert (found.title, found.classes) == ("Sleep stages of our laboratory", ("W", "N2", "R"))
