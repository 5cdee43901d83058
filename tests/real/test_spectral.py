"""What the spectral networks reach on a reduced protocol: one fold, a few epochs, real recordings.

The bounds stand one to four points under what several seeds reach, and above what is reached with a
broken layer. Judged is the tuning part: nothing that is held out is opened.
"""

from pathlib import Path

import pytest
import torch

from sequela.config import RunSettings
from sequela.models.registry import lookup_network
from sequela.runs import signals
from sequela.runs.data import Examples
from sequela.runs.model import config_of
from sequela.training.fit import fit
from sequela.training.totals import correct

BOUNDS = {"spectral-mlp-small": 0.75, "spectral-mlp": 0.78, "spectral-mlp-large": 0.815}
EPOCHS = 4
SETTINGS = RunSettings(model="spectral-mlp", data="bonn", split_seed=101, folds=5)


@pytest.fixture(scope="module")
def data(real_data: Path) -> Examples:
    return signals.load(SETTINGS, real_data / "bonn")


def reached(name: str, data: Examples, seed: int) -> float:
    """Accuracy on the tuning part, one segment at a time."""
    torch.manual_seed(seed)
    entry = lookup_network(name)
    given = data.inputs(entry.reads)
    model = entry.build(config_of(entry, SETTINGS, given))
    how = entry.training.model_copy(update={"epochs": EPOCHS, "batch_size": 128, "average": 0.95})
    order = torch.Generator().manual_seed(seed)
    train = given.loader("train", how.batch_size, order, how)
    fit(model, train, None, how, metrics={"accuracy": correct})
    rows = data.rows("tuning")
    said = given.probabilities(model)[rows]
    return float((said.argmax(1) == data.labels[rows]).mean())


@pytest.mark.parametrize("name", BOUNDS)
def test_a_spectral_network_is_as_good_as_it_was(name: str, data: Examples) -> None:
    assert reached(name, data, seed=0) > BOUNDS[name]
