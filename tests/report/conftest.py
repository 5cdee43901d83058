"""Small real runs of both studies, and what a page is made of."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sequela.config import RunSettings, SplitUnit, TrainingSettings
from sequela.runs import fit
from sequela.runs.find import Run
from sequela.runs.folder import RunFolder
from sequela.runs.folds import cross_validate
from sequela.sources.catalog import EXCERPTS
from sequela.studies import mortality
from sequela.studies.registry import STUDIES


class Outline(HTMLParser):
    """Ids, tags and what is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.labels: list[str] = []
        self.pointed: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            if name == "href" and (value or "").startswith("#"):
                self.pointed.append((value or "")[1:])
            inside = (value or "").startswith(("#", "data:text/csv"))
            if name in ("src", "href", "xlink:href") and not inside:
                self.fetched.append(value or "")
            if tag == "svg" and name == "aria-label" and value:
                self.labels.append(value)


@pytest.fixture(scope="session")
def outline() -> Callable[[Path], Outline]:
    """Reads a page."""

    def read(page: Path) -> Outline:
        found = Outline()
        found.feed(page.read_text("utf-8"))
        return found

    return read


@pytest.fixture(scope="session")
def small_runs(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    """Both MLPs and the two floors by recording, one MLP by row."""
    out = tmp_path_factory.mktemp("report")
    wanted: list[tuple[str, SplitUnit]] = [
        ("mlp-baseline", "recording"),
        ("mlp-improved", "recording"),
        ("majority-class", "recording"),
        ("logistic-regression", "recording"),
        ("mlp-baseline", "row"),
    ]
    return [
        fit.train(
            RunSettings(
                model=model, data="bonn", split=split, training=TrainingSettings(epochs=12)
            ),
            out / f"{model}.by-{split}",
            root=synthetic,
        )
        for model, split in wanted
    ]


def _of_cohort(
    data: str, task: str, names: list[str], *, epochs: int = 2, seed: int = 0
) -> dict[str, RunSettings]:
    """Settings of some runs of the study, in few epochs."""
    named = mortality.STUDY.runs((data, task), seed=seed, quick=True)
    return {
        name: named[name].model_copy(
            update={"training": named[name].training.model_copy(update={"epochs": epochs})}
        )
        for name in names
    }


@pytest.fixture(scope="session")
def of_cohort() -> Callable[..., dict[str, RunSettings]]:
    """Settings of some runs of the mortality study by name, in few epochs."""
    return _of_cohort


@pytest.fixture(autouse=True, scope="session")
def small_primary() -> Iterator[None]:
    """eICU is the primary cohort here: it is smaller than PhysioNet 2012."""
    small = replace(mortality.STUDY, primary=((("eicu", "in-hospital"), 0),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mortality, "STUDY", small)
        patch.setitem(STUDIES, "mortality", small)
        yield


@pytest.fixture(scope="session")
def record_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """The primary cohort with weights and hindsight, the report's question, and folds."""
    out = tmp_path_factory.mktemp("mortality")
    runs: list[Run] = []
    for data, task, names in (
        (
            "eicu",
            "in-hospital",
            [
                "visits-baseline",
                "visits-improved",
                "visits-baseline.weighted",
                "logistic-regression",
                "logistic-regression.hindsight",
                "visits-baseline.hindsight",
            ],
        ),
        ("mimic3", "report-2019", ["visits-baseline", "visits-improved", "prevalence"]),
    ):
        for name, settings in _of_cohort(data, task, names).items():
            folder = out / f"{data}-{task}" / name
            runs.append(fit.train(settings, folder, root=EXCERPTS / data, work=out / "work"))
    settings = _of_cohort("mimic3", "in-hospital", ["logistic-regression"])["logistic-regression"]
    folded = cross_validate(
        settings,
        out / "mimic3-in-hospital" / "logistic-regression",
        folds=2,
        root=EXCERPTS / "mimic3",
        work=out / "work",
    )
    shutil.rmtree(out / "work")
    return [*runs, folded]
