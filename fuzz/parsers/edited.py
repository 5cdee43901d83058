"""The JSON of finished folds, edited and sealed anew, as a forger would.

With the manifest of the run any edit is refused (tests/runs/test_manifest.py). Here the
manifest is written again, and the numbers must give the edit away: `sequela verify` with the data
finds it, or what is shown of the run is the same as before. Nothing may end in a traceback, also
where nobody has verified.
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

from fuzz.mutators import JSON
from fuzz.parser import Parser, Seed
from sequela.config import RunSettings, TrainingSettings
from sequela.errors import RunError, SequelaError
from sequela.integrity.verified import verify_folder
from sequela.report.card import build_card
from sequela.runs.find import named_runs
from sequela.runs.folds import cross_validate
from sequela.runs.manifest import seal
from sequela.studies.results import results

_FIRST: dict[str, Any] = {}
"""What was shown of the run before anything was edited."""
EDITED = ("folds.json", "fold-00/metrics.json", "fold-00/split.json")


@cache
def _made() -> Path:
    """A folder with data in the form of Bonn's, and folds of a network on them."""
    at = Path(mkdtemp(prefix="fuzz-"))
    rng = np.random.default_rng(7)
    for place, letter in enumerate("ZONFS"):
        (at / "data" / letter).mkdir(parents=True)
        for number in range(1, 9):
            wave = np.sin(np.arange(4097) / (2 + place)) * (50 + 20 * place)
            values = (wave + rng.normal(scale=30, size=len(wave))).round()
            text = "".join(f"{int(value)}\n" for value in values)
            (at / "data" / letter / f"{letter}{number:03d}.txt").write_text(text, "utf-8")
    asked = RunSettings(model="mlp-baseline", data="bonn", training=TrainingSettings(epochs=1))
    cross_validate(asked, at / "run", folds=2, root=at / "data")
    return at


def _seeds() -> list[Seed]:
    run = _made() / "run"
    return [Seed({name: (run / name).read_bytes()}) for name in EDITED]


def _read(folder: Path) -> Any:
    made = _made()
    run = folder.parent / f"{folder.name}-run"
    shutil.copytree(made / "run", run)
    try:
        for name in EDITED:
            if (folder / name).exists():
                shutil.copy(folder / name, run / name)
        seal(run / "fold-00")
        seal(run)
        shown: dict[str, Any] = {}
        # What shows a run does not ask the data; the user's ledger knows nothing of this.
        with patch.dict(os.environ, SEQUELA_OPENINGS=str(made / "ledger")), suppress(SequelaError):
            build_card(named_runs([run])[0], folder.parent / "card.md")
            shown = results(named_runs([run]))
        for each in verify_folder(run):
            if each.wrong:
                raise RunError(each.wrong[0])
        return _as_first(shown, _FIRST.setdefault("shown", shown))
    finally:
        shutil.rmtree(run)


def _as_first(shown: Any, first: Any) -> Any:
    """Return the first number for one that is equal within the tolerance of `sequela verify`.

    Names that the first did not have are left out: they may be metrics of a plugin.
    """
    if isinstance(first, dict) and isinstance(shown, dict):
        return {key: _as_first(shown.get(key), value) for key, value in first.items()}
    if isinstance(first, list) and isinstance(shown, list) and len(first) == len(shown):
        return [_as_first(*each) for each in zip(shown, first, strict=True)]
    if isinstance(first, float) and isinstance(shown, float):
        return first if math.isclose(first, shown, rel_tol=1e-6, abs_tol=1e-6) else shown
    return shown


PARSERS = (Parser("edited", _seeds, _read, JSON),)
