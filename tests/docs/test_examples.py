"""What the pages show in Python is what happens."""

import doctest
from typing import Any

import pytest
import torch
from tests.docs.conftest import DOCS

from sequela.models.loading import attribute


@pytest.mark.usefixtures("own_metrics")
@pytest.mark.parametrize(
    ("page", "least"),
    [
        *(("models", 5), ("signals", 3), ("evaluation", 11), ("survival", 8)),
        pytest.param("python", 25, marks=pytest.mark.slow),  # tests/api calls the same functions
    ],
)
def test_examples_in_python(page: str, least: int) -> None:
    found = doctest.testfile(str(DOCS / f"{page}.md"), module_relative=False, encoding="utf-8")
    assert found.attempted >= least
    assert found.failed == 0


def test_the_network_of_the_example_reads_each_patient_alone() -> None:
    """Logits do not depend on others in the batch, and do on the time between measurements."""
    network: Any = attribute(f"{DOCS}/examples/gru_d.py:GRUD")
    torch.manual_seed(0)
    model = network(n_channels=3, n_outputs=2).eval()
    values, mask = torch.randn(5, 3), torch.ones(5, 3, dtype=torch.bool)
    mask[3:, 1] = False
    gaps = torch.tensor([0.0, 0.0, 0.5, 0.5, 1.0])
    both = model(values, mask, gaps, torch.tensor([2, 2, 1]))  # of three steps, and of two
    first = [0, 2, 4]
    alone = model(values[first], mask[first], gaps[first], torch.tensor([1, 1, 1]))
    assert torch.allclose(both[:1], alone, atol=1e-6)
    assert both[1].allclose(model(values[[1, 3]], mask[[1, 3]], gaps[[1, 3]], torch.tensor([1, 1])))
    later = model(values, mask, gaps * 3, torch.tensor([2, 2, 1]))
    assert (later - both).abs().amax(1).min() > 1e-3
