"""The JSON of finished folds, edited and sealed anew, as a forger would.

With the manifest of the run, any edit is refused (tests/runs/test_manifest.py). Here the manifest
is written again, and the numbers must reveal the edit: `sequela verify` with the data finds it, or
the run looks as before. Nothing may end in a traceback, also for those who do not verify.
"""

import math
import os
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.damage import Case, Files, changed_json, examples

from sequela.config import RunSettings, TrainingSettings
from sequela.errors import RunError, SequelaError
from sequela.integrity.verify import verify_folder
from sequela.report.card import build_card
from sequela.runs.find import named_runs
from sequela.runs.folds import cross_validate
from sequela.runs.manifest import seal
from sequela.studies.results import results

EDITED = ("folds.json", "fold-00/metrics.json", "fold-00/split.json")


@cache
def finished() -> Path:
    """Return a folder with data in the form of Bonn's, and folds of a network on them."""
    folder = Path(mkdtemp(prefix="fuzz-"))
    rng = np.random.default_rng(7)
    for place, letter in enumerate("ZONFS"):
        (folder / "data" / letter).mkdir(parents=True)
        for number in range(1, 9):
            wave = np.sin(np.arange(4097) / (2 + place)) * (50 + 20 * place)
            values = (wave + rng.normal(scale=30, size=len(wave))).round()
            path = folder / "data" / letter / f"{letter}{number:03d}.txt"
            path.write_text("".join(f"{int(value)}\n" for value in values), "utf-8")
    settings = RunSettings(model="mlp-baseline", data="bonn", training=TrainingSettings(epochs=1))
    cross_validate(settings, folder / "run", folds=2, root=folder / "data")
    return folder


@cache
def json_files() -> Files:
    return {name: (finished() / "run" / name).read_bytes() for name in EDITED}


def shown(run: Path) -> dict[str, Any]:
    """Return what is shown of a run, without the user's ledger."""
    with patch.dict(os.environ, SEQUELA_OPENINGS=str(finished() / "ledger")):
        build_card(named_runs([run])[0], run / "card.md")
        return results(named_runs([run]))


@cache
def first_shown() -> dict[str, Any]:
    return shown(finished() / "run")


def read(folder: Path) -> Any:
    """Seal the edited run, and verify it."""
    shutil.copytree(finished() / "run", folder / "run", ignore=shutil.ignore_patterns("card.md"))
    for name in EDITED:
        shutil.copy(folder / name, folder / "run" / name)
    seal(folder / "run" / "fold-00")
    seal(folder / "run")
    numbers: dict[str, Any] = {}
    with suppress(SequelaError):
        numbers = shown(folder / "run")
    for verified in verify_folder(folder / "run"):
        if verified.wrong:
            raise RunError(verified.wrong[0])
    return rounded(numbers, first_shown())


def rounded(new: Any, first: Any) -> Any:
    """Return the first number for one that is equal within the tolerance of `sequela verify`.

    Names that the first did not have are left out: they may be metrics of a plugin.
    """
    if isinstance(first, dict) and isinstance(new, dict):
        return {key: rounded(new.get(key), value) for key, value in first.items()}
    if isinstance(first, list) and isinstance(new, list) and len(first) == len(new):
        return [rounded(*pair) for pair in zip(new, first, strict=True)]
    if isinstance(first, float) and isinstance(new, float):
        return first if math.isclose(first, new, rel_tol=1e-6, abs_tol=1e-6) else new
    return new


CASE = Case(json_files, read, changed_json)


@pytest.mark.slow
@examples(8)
@given(data=st.data())
def test_edited_folds(data: st.DataObject) -> None:
    CASE.check(data)
