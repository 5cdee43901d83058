"""Small real runs of the seizure study, and what a page is made of."""

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sequela.config import RunSettings, SplitUnit, TrainingSettings
from sequela.studies import run
from sequela.studies.folder import RunFolder


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
            if name in ("src", "href", "xlink:href") and not (value or "").startswith("#"):
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
        run.train(
            RunSettings(
                model=model, data="bonn", split=split, training=TrainingSettings(epochs=12)
            ),
            out / f"{model}.by-{split}",
            root=synthetic,
        )
        for model, split in wanted
    ]
