"""The mortality study's cohorts on the open data, as published."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import Once
from tests.real.conftest import FOLDERS, Built

from sequela.analysis.evaluate import predict_other
from sequela.config import RunSettings
from sequela.datasets import catalog
from sequela.evaluation.metrics import auroc
from sequela.runs import fit, records
from sequela.runs.folder import RunFolder
from sequela.studies.registry import STUDIES
from sequela.tables.build import build
from sequela.tables.hospitals import source_of

Asked = Callable[..., tuple[RunSettings, Path]]


@pytest.fixture(scope="module")
def of_study(built: Built) -> Asked:
    """A run of the study, and where the events of its data lie."""

    def asked(data: str, task: str, name: str, epochs: int = 5) -> tuple[RunSettings, Path]:
        runs = STUDIES["mortality"].runs((data, task), seed=0, quick=True)
        settings = runs[name]
        training = settings.training.model_copy(update={"epochs": epochs})
        assert settings.cohort is not None
        tables = settings.cohort.tables
        return settings.model_copy(update={"training": training}), built(data, tables)

    return asked


@pytest.mark.parametrize(
    ("data", "task", "examples", "deaths"),
    [
        ("eicu", "in-hospital", 1893, 135),
        ("mimic3", "report-2019", 100, 40),
        ("mimic3", "in-hospital", 117, 31),
        ("mimic4", "in-hospital", 245, 14),
        ("physionet2012", "in-hospital", 3994, 554),
    ],
)
def test_each_cohort_has_its_examples_and_a_model_of_them(
    data: str, task: str, examples: int, deaths: int, of_study: Asked, work: Path, tmp_path: Path
) -> None:
    """Counted by hand from the published tables: adults whose stay had not ended by then."""
    settings, root = of_study(data, task, "logistic-regression")
    folder = fit.train(settings, tmp_path / "run", root=root, work=work)
    described = folder.metrics["data"]
    assert (described["examples"], described["positives"]) == (examples, deaths)
    assert described["flow"]["examples"] == examples
    checks = {leak["check"] for leak in folder.metrics["leaks"]}
    assert ("declared leak" in checks) == (task == "report-2019")
    if task != "report-2019":
        assert not checks


def test_the_excerpt_gives_the_same_run_as_the_published_tables(
    of_study: Asked, work: Path, tmp_path: Path
) -> None:
    for data in ("eicu", "mimic3"):
        settings, root = of_study(data, "in-hospital", "visits-baseline", epochs=1)
        real, excerpt = (
            records.load(settings, place, work / name)
            for name, place in (("real", root), ("excerpt", catalog.EXCERPTS / data))
        )
        np.testing.assert_array_equal(real.arrays.codes, excerpt.arrays.codes)
        assert real.digest == excerpt.digest


def trained(settings: RunSettings, root: Path, out: Path, work: Path) -> RunFolder:
    return fit.train(settings, out, root=root, work=work)


@pytest.mark.parametrize(
    ("data", "low", "high"),
    [
        # Codes of the first day tell something, not all: above 0.9 would be an alarm.
        ("eicu", 0.6, 0.9),
        # Boosting on summaries of two days has about 0.86.
        ("physionet2012", 0.8, 0.92),
    ],
)
def test_boosting_is_where_boosting_is(
    data: str, low: float, high: float, of_study: Asked, work: Path, tmp_path: Path
) -> None:
    folder = trained(*of_study(data, "in-hospital", "boosting"), tmp_path / "run", work)
    assert low < folder.metrics["parts"]["held_out"]["auroc"] < high


@pytest.fixture(scope="module")
def halves(real_data: Path, once: Once) -> tuple[Path, Path]:
    """PhysioNet 2012's set-a, and every second stay of it laid out as its set-b is published."""
    published = real_data / FOLDERS["physionet2012"]

    def fill(root: Path) -> None:
        with tarfile.open(published / "set-a.tar.gz", "r:gz") as archive:
            archive.extractall(root, filter="data")
        files = sorted((root / "set-a").glob("*.txt"))
        head, *lines = (published / "Outcomes-a.txt").read_text("utf-8").splitlines()
        for name, chosen in (("a", files[::2]), ("b", files[1::2])):
            place = root / "published" / name / f"set-{name}"
            place.mkdir(parents=True)
            for file in chosen:
                file.rename(place / file.name)
            ids = {file.stem for file in chosen}
            kept = [line for line in lines if line.partition(",")[0] in ids]
            text = "\n".join([head, *kept]) + "\n"
            (place.parent / f"Outcomes-{name}.txt").write_text(text, "utf-8")
            build(source_of("physionet2012"), place.parent, root / name)

    root = once("real-halves", fill)
    return root / "a", root / "b"


@pytest.mark.parametrize("model", ["boosting", "logistic-regression", "visits-baseline"])
def test_a_run_on_one_set_of_physionet_2012_judges_the_other(
    model: str, of_study: Asked, halves: tuple[Path, Path], work: Path, tmp_path: Path
) -> None:
    """Quintiles and summaries as stored: nobody is set aside, and it is as good as on its own."""
    settings, _ = of_study("physionet2012", "in-hospital", model)
    folder = trained(settings, halves[0], tmp_path / "run", work)
    other, found = predict_other(folder, "physionet2012", halves[1], tmp_path)
    assert other.set_aside == 0
    assert folder.data["examples"] + len(found.label) == 3994
    assert 0.7 < auroc(found) < 0.9


def test_whole_hospitals_of_eicu_are_held_out(of_study: Asked, work: Path, tmp_path: Path) -> None:
    """The demo has 186 hospitals; a stay that follows one in another hospital is left out."""
    settings, root = of_study("eicu", "in-hospital", "boosting")
    by_site = settings.model_copy(update={"split": "site"})
    folder = trained(by_site, root, tmp_path / "run", work)
    assert folder.data["sites"] == 186
    assert (folder.data["examples"], folder.data["unit"]) == (1893 - 15, "site")
    assert {n: len(ids) for n, ids in folder.split.ids["site"].items()} == {
        "train": 111,
        "tuning": 37,
        "held_out": 38,
    }
    other, found = predict_other(folder, "eicu", root, tmp_path)
    recorded = folder.predictions.part("held_out")
    assert sorted(found.example_id.tolist()) == sorted(recorded.example_id.tolist())
    assert other.set_aside == 148
