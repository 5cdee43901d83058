"""Small real runs of both studies, and what a page is made of."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.conftest import Once, meds
from tests.report.hospitals import HOSPITALS, hospital, trained

from sequela.analysis.package import write_package
from sequela.config import RunSettings, SplitUnit, TrainingSettings
from sequela.datasets.catalog import EXCERPTS
from sequela.report.card import build_card
from sequela.report.pages.build import build
from sequela.report.share import share
from sequela.runs import fit
from sequela.runs.find import Run, open_run
from sequela.runs.folder import RunFolder
from sequela.runs.folds import cross_validate
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
def places(once: Once) -> dict[str, Path]:
    """Three hospitals by name."""

    def fill(out: Path) -> None:
        for name, (people, dead, seed) in HOSPITALS.items():
            hospital(meds, out / name, people=people, dead=dead, seed=seed)

    folder = once("report-hospitals", fill)
    return {name: folder / name for name in HOSPITALS}


@pytest.fixture(scope="session")
def run(places: dict[str, Path], once: Once) -> Path:
    """A logistic regression of the hospital at home."""
    return once("report-home", lambda out: trained(places["home"], out / "run")) / "run"


@pytest.fixture(scope="session")
def small_runs(synthetic: Path, once: Once) -> list[RunFolder]:
    """Both MLPs and the two floors by session, one MLP by row."""
    wanted: list[tuple[str, SplitUnit]] = [
        ("mlp-baseline", "session"),
        ("mlp-improved", "session"),
        ("majority-class", "session"),
        ("logistic-regression", "session"),
        ("mlp-baseline", "row"),
    ]

    def fill(out: Path) -> None:
        for model, split in wanted:
            few = TrainingSettings(epochs=12)
            settings = RunSettings(model=model, data="bonn", split=split, training=few)
            fit.train(settings, out / f"{model}.by-{split}", root=synthetic)

    out = once("report-small-runs", fill)
    return [RunFolder(out / f"{model}.by-{split}") for model, split in wanted]


def _of_cohort(
    data: str, task: str, names: list[str], *, epochs: int = 2, seed: int = 0
) -> dict[str, RunSettings]:
    """Settings of some runs of the study, in few epochs."""
    named = STUDIES["mortality"].runs((data, task), seed=seed, quick=True)
    return {
        name: named[name].model_copy(
            update={"training": named[name].training.model_copy(update={"epochs": epochs})}
        )
        for name in names
    }


@pytest.fixture(autouse=True, scope="session")
def small_primary() -> Iterator[None]:
    """eICU is the primary cohort here, as it is smaller than PhysioNet 2012, also weighted."""
    controls = {"weighted": ("visits-baseline",), **STUDIES["mortality"].controls}
    primary = ((("eicu", "in-hospital"), 0),)
    small = replace(STUDIES["mortality"], primary=primary, controls=controls)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(STUDIES, "mortality", small)
        yield


RECORDS = {
    ("eicu", "in-hospital"): [
        "visits-baseline",
        "visits-improved",
        "visits-baseline.weighted",
        "logistic-regression",
        "logistic-regression.hindsight",
        "visits-baseline.hindsight",
    ],
    ("mimic3", "report-2019"): ["visits-baseline", "visits-improved", "prevalence"],
}
FOLDED = Path("mimic3-in-hospital", "logistic-regression")


@pytest.fixture(scope="session")
def record_runs(once: Once) -> list[Run]:
    """The primary cohort with weights and hindsight, the report's question, and folds."""

    def fill(out: Path) -> None:
        work = out / "work"
        for (data, task), names in RECORDS.items():
            for name, settings in _of_cohort(data, task, names).items():
                folder = out / f"{data}-{task}" / name
                fit.train(settings, folder, root=EXCERPTS / data, work=work)
        (settings,) = _of_cohort("mimic3", "in-hospital", [FOLDED.name]).values()
        root = EXCERPTS / "mimic3"
        cross_validate(settings, out / FOLDED, folds=2, root=root, work=work)
        shutil.rmtree(work)

    out = once("report-record-runs", fill)
    paths = [out / "-".join(question) / name for question, n in RECORDS.items() for name in n]
    return [open_run(path) for path in (*paths, out / FOLDED)]


@pytest.fixture(scope="session")
def page(record_runs: list[Run], small_runs: list[RunFolder], once: Once) -> Path:
    """The page of both studies."""
    runs = [*record_runs, *small_runs]
    return once("report-page", lambda out: build(runs, out / "page.html")) / "page.html"


@pytest.fixture(scope="session")
def small_page(small_runs: list[RunFolder], once: Once) -> Path:
    """The page of the seizure study alone."""
    return once("report-small-page", lambda out: build(small_runs, out / "page.html")) / "page.html"


@pytest.fixture(scope="session")
def cards(
    small_runs: list[RunFolder], record_runs: list[Run], tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Run, str]]:
    """Each run and its card, which hides no count."""
    path = tmp_path_factory.mktemp("cards") / "card.md"
    runs = [*small_runs, *record_runs]
    return [(run, build_card(run, path, 1).read_text("utf-8")) for run in runs]


@pytest.fixture(scope="session")
def shared_records(record_runs: list[Run], once: Once) -> Path:
    """What may be shown of a run of records."""
    return once("report-shared-records", lambda out: share(record_runs[0], out / "out")) / "out"


@pytest.fixture(scope="session")
def shared_folds(record_runs: list[Run], once: Once) -> Path:
    """What may be shown of folds."""
    return once("report-shared-folds", lambda out: share(record_runs[-1], out / "out")) / "out"


@pytest.fixture(scope="session")
def shared_recordings(small_runs: list[RunFolder], once: Once) -> Path:
    """What may be shown of a run of recordings, with its model."""
    out = once(
        "report-shared-recordings", lambda out: share(small_runs[0], out / "out", model=True)
    )
    return out / "out"


@pytest.fixture(scope="session")
def package(record_runs: list[Run], once: Once) -> Path:
    """The package of the models of the primary cohort."""

    def fill(out: Path) -> None:
        write_package(record_runs[0].path.parent, out / "ward.zip", root=EXCERPTS / "eicu")

    return once("report-package", fill) / "ward.zip"
