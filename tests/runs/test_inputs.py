"""A network in a file of its own that reads what records hold beside codes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sequela.config import RunSettings
from sequela.errors import ModelError, RunError, SettingError
from sequela.runs import fit
from sequela.runs.evaluate import evaluate_run
from sequela.runs.explain import explain
from sequela.sources.catalog import EXCERPTS

FILE = """
import torch
from torch import nn


class Net(nn.Module):
    reads = ("gaps", "codes", "static", "features:counts")

    def __init__(self, *, n_codes, n_static, n_features, n_outputs):
        super().__init__()
        self.features = nn.Linear(n_static + n_features + 1, n_outputs)
        self.codes = nn.EmbeddingBag(n_codes, n_outputs, mode="sum", include_last_offset=True)

    def forward(self, gaps, codes, offsets, static, features, batch_sizes):
        first = batch_sizes[0]
        seen = [gaps[:first, None], static, features]
        return self.features(torch.cat(seen, 1)) + self.codes(codes, offsets)[:first]
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A file with a class."""
    file = tmp_path / "net.py"
    file.write_text(FILE, "utf-8")
    return file


@pytest.mark.slow
def test_a_class_of_a_file_trains_and_is_built_again_from_the_same_file(
    net: Path, asked: Callable[..., RunSettings], records_work: Path, tmp_path: Path
) -> None:
    root = EXCERPTS / "eicu"
    settings = asked(f"{net}:Net", "eicu", epochs=1)
    folder = fit.train(settings, tmp_path / "run", root=root, work=records_work)
    with pytest.raises(RunError, match=r"is code that would be run.*add --trust-code"):
        evaluate_run(folder.path, data="eicu", root=root)
    found = evaluate_run(folder.path, data="eicu", root=root, trust_code=True)
    assert found["loss"] == pytest.approx(folder.test["loss"], abs=1e-6)
    assert folder.json("cost.json")["layers"][0]["name"] == "features:counts"
    with pytest.raises(ModelError, match="Net has no MultiHotLinear, whose codes are explained"):
        explain(folder.path, root=root, trust_code=True)
    net.write_text(FILE.replace("+ 1, n_outputs", "+ 2, n_outputs"), "utf-8")
    with pytest.raises(RunError, match=r"is not the class that was trained.*train it again"):
        evaluate_run(folder.path, data="eicu", root=root, trust_code=True)
    net.unlink()
    with pytest.raises(ModelError, match=r"net\.py"):
        evaluate_run(folder.path, data="eicu", root=root, trust_code=True)


def test_data_without_measurements_are_refused(
    net: Path, asked: Callable[..., RunSettings], records_work: Path, tmp_path: Path
) -> None:
    net.write_text(FILE.replace('"static"', '"values"'), "utf-8")
    with pytest.raises(SettingError, match=r"have none of it \(n_channels is 0\)"):
        fit.train(
            asked(f"{net}:Net", "eicu"), tmp_path / "run", root=EXCERPTS / "eicu", work=records_work
        )
    assert not (tmp_path / "run").exists()
