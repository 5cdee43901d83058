"""Explanations of networks that read measurements and summaries, on eICU's demo in the package."""

from pathlib import Path

import numpy as np
import pytest

from sequela.runs import fit
from sequela.runs.explain import explain
from sequela.sources.catalog import EXCERPTS
from sequela.studies.settings import run_settings

ASKED = {"inputs": ("APACHE", "EICU_DX"), "bins": 3, "min_subjects": 20}


@pytest.mark.parametrize(
    ("model", "kinds"),
    [("values-lstm", (" (value)", " last (whole record)")), ("visits-attention", ("EICU_DX//",))],
)
def test_all_inputs_together_make_the_difference(
    model: str, kinds: tuple[str, ...], tmp_path: Path
) -> None:
    root = EXCERPTS / "eicu"
    settings = run_settings(model, "eicu", records=ASKED, training={"epochs": 2, "refit": False})
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
    assert len({code.code for code in found.importance.codes}) == len(found.importance.codes)
