"""Explanations of networks that read measurements and summaries, and codes of eICU's demo."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runs.challenge import write_set

from sequela.analysis.explain import explain
from sequela.config import Options
from sequela.runs import fit
from sequela.studies.settings import run_settings

OF_EICU = {"inputs": ("APACHE", "EICU_DX"), "bins": 3, "min_subjects": 100}
CASES = [
    ("values-lstm", "physionet2012", {"min_subjects": 3}, (" (value)", " last (whole record)")),
    ("visits-attention", "eicu", OF_EICU, ("EICU_DX//",)),
]


@pytest.mark.slow(but="values-lstm")
@pytest.mark.parametrize(
    ("model", "data", "said", "kinds"), CASES, ids=[model for model, *_ in CASES]
)
def test_all_inputs_together_make_the_difference(
    model: str,
    data: str,
    said: dict[str, Any],
    kinds: tuple[str, ...],
    excerpt_events: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    if data == "physionet2012":
        root = write_set(tmp_path / "a", "a", range(132_000, 132_060), seed=0)
    else:
        root = excerpt_events(data)
    settings = run_settings(model, data, Options.of(epochs=1, refit=False, **said))
    fit.train(settings, tmp_path / "run", root=root)
    found = explain(tmp_path / "run", root=root)
    assert len(found.examples) == 3
    for example in found.examples:
        (number,) = example.numbers.values()
        assert len(number.values) == len(example.codes)
        assert number.values.sum() == pytest.approx(number.difference, rel=0.02, abs=1e-4)
        chance = example.chances["died"]
        assert number.reached == pytest.approx(np.log(chance / (1 - chance)), abs=1e-3)
    named = [code.code for example in found.examples for code in example.codes]
    assert all(any(kind in name for name in named) for kind in kinds)
    assert found.importance is not None
    assert found.importance.median_error < 0.02
    assert len({code.code for code in found.importance.codes}) == len(found.importance.codes) > 0
