"""The page's declarations read its data, and its commands run."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import edfio
import numpy as np
import pytest
import torch
from tests.cli.recordings import table
from tests.docs.conftest import DOCS, run
from tests.test_docs import fences

from sequela.runs.find import open_run
from sequela.signals.reading import read

PAGE = DOCS / "signals.md"


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


def csv_files(path: Path) -> None:
    rng = np.random.default_rng(0)
    path.mkdir()
    for number in range(12):
        name, scale = (f"Z{number:03d}", 10) if number % 2 else (f"S{number:03d}", 50)
        rows = rng.normal(scale=scale, size=(10 * 256, 2)).round(2).tolist()
        lines = [f"{n / 256:.6f};{a};{b}".replace(".", ",") for n, (a, b) in enumerate(rows)]
        text = "\n".join(["Zeit [s];Fp1 [\N{MICRO SIGN}V];Fp2 [\N{MICRO SIGN}V]", *lines])
        (path / f"{name}.csv").write_text(text + "\n", "latin-1")


@pytest.mark.slow
def test_the_page(here: Path) -> None:
    table(here / "own.parquet", range(30))
    csv_files(here / "clinic")
    folder(here / "eeg")
    of_table, of_folder, prepared = fences(PAGE, "toml", "Your recordings")
    (here / "eeg" / "signals.toml").write_text(of_folder, "utf-8")
    *first, last = fences(PAGE, "sh", "Your recordings")
    run("".join(first))
    assert open_run(here / "runs/stages").data["classes"] == ["N2", "R", "W"]
    seizures = open_run(here / "runs/seizures").data
    assert (seizures["unit"], seizures["counts"]) == ("subject", [240, 120])
    assert open_run(here / "runs/csv").data["counts"] == [60, 60]
    assert (here / "seizures.html").exists()
    (here / "signals.toml").write_text(of_table, "utf-8")
    found = read(here / "own.parquet")
    assert (found.title, found.classes) == ("Sleep stages of our laboratory", ("W", "N2", "R"))
    (here / "eeg" / "signals.toml").write_text(prepared, "utf-8")
    (here / "shallow.py").write_text("".join(fences(PAGE, "python", "Your recordings")), "utf-8")
    spec = spec_from_file_location("shallow", here / "shallow.py")
    assert spec is not None
    assert spec.loader is not None
    shallow = module_from_spec(spec)
    spec.loader.exec_module(shallow)
    sizes = {"n_chans": 3, "n_times": 64, "n_outputs": 2}
    weights = shallow.Shallow(**sizes).state_dict()
    torch.save(weights, here / "weights.pt")
    assert torch.equal(shallow.Pretrained(**sizes).space.weight, weights["space.weight"])
    run(last)
    pretrained = open_run(here / "runs/pretrained")
    assert pretrained.data["channels"] == ["Fp1", "F7", "T7"]
    assert pretrained.data["notes"][0].startswith('prepared with reference "average"; filter 0.5')
