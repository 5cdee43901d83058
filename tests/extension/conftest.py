"""The data of the extension, and registries that are as before when its tests are over."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.test_docs import fences

import sequela.cli.commands  # noqa: F401 - registers them
from sequela import plugins
from sequela.audit.finding import CHECKS
from sequela.audit.searches import SEARCHES
from sequela.cohort.tasks import TASKS
from sequela.datasets import codes
from sequela.datasets.catalog import DATA_SETS
from sequela.evaluation.metrics import METRICS
from sequela.figures.registry import RUN_FIGURES
from sequela.models.reference import REFERENCE_MODELS
from sequela.models.registry import MODELS
from sequela.report.sections.section import CARD_ITEMS, SECTIONS
from sequela.sequences.featurisers import FEATURISERS
from sequela.studies.registry import STUDIES

REGISTRIES: tuple[dict[str, Any], ...] = (
    plugins.COMMANDS,
    CHECKS,
    SEARCHES,
    DATA_SETS,
    FEATURISERS,
    METRICS,
    MODELS,
    REFERENCE_MODELS,
    RUN_FIGURES,
    SECTIONS,
    CARD_ITEMS,
    STUDIES,
    TASKS,
    codes.NAMED,
)
PAGE = Path(__file__).parents[2] / "docs/contributing/extending.md"
MORE = Path(__file__).parent / "more.py"
collect_ignore = [MORE.name]  # to look for doctests would register what is in it


def kept_registries() -> Iterator[None]:
    """Registries, and what is loaded of plugins, are afterwards as before."""
    before = [dict(registry) for registry in REGISTRIES]
    plugins._loaded.clear()
    yield
    for registry, entries in zip(REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(entries)
    codes.family_of.cache_clear()
    plugins._loaded.clear()


@pytest.fixture(scope="module", autouse=True)
def _as_before() -> Iterator[None]:
    yield from kept_registries()


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """SEQUELA_PLUGINS names the files, and $SEQUELA_DATA the folder of their data, which is given.

    The first file is that of the page on extensions.
    """
    data = tmp_path_factory.mktemp("data")
    (data / "mine.py").write_text("\n\n".join(fences(PAGE, "python")), "utf-8")
    write_nights(data / "sleep-lab")
    write_tables(data / "ward")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQUELA_PLUGINS", os.pathsep.join([str(data / "mine.py"), str(MORE)]))
        patch.setenv("SEQUELA_DATA", str(data))
        plugins._loaded.clear()
        yield data


def write_nights(root: Path) -> None:
    """Twelve recordings a class, louder from class to class."""
    root.mkdir()
    rng = np.random.default_rng(3)
    for loud, name in zip((10, 30, 90), ("calm", "spindles", "arousal"), strict=True):
        for number in range(12):
            np.save(root / f"{name}-{number:02d}.npy", rng.normal(scale=loud, size=(2, 1500)))


def write_tables(root: Path) -> None:
    """A hundred and fifty people with a stay each; blood is given to those who have little."""
    root.mkdir()
    rng = np.random.default_rng(5)
    tables = {
        "stays": ["stay,person,came,went"],
        "labs": ["stay,person,at,test,value"],
        "blood": ["stay,person,at,group"],
    }
    for stay in range(1, 151):
        day = np.datetime64("2020-01-01T08:00:00") + np.timedelta64(int(rng.integers(900)), "D")

        def at(hours: float, day: np.datetime64 = day) -> str:
            return str(day + np.timedelta64(round(60 * hours), "m")).replace("T", " ")

        low = rng.random() < 0.4
        tables["stays"].append(f"{stay},{stay},{at(0)},{at(72)}")
        for hours in (1, 9, 20):
            value = rng.normal(75 if low else 120, 12)
            tables["labs"].append(f"{stay},{stay},{at(hours)},haemoglobin,{value:.0f}")
        if low != (rng.random() < 0.1):
            tables["blood"].append(f"{stay},{stay},{at(30)},red cells")
    for name, lines in tables.items():
        (root / f"{name}.csv").write_text("\n".join(lines) + "\n", "utf-8")
