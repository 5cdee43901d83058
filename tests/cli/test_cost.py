"""``sequela cost`` as a user sees it."""

import json
from functools import partial
from pathlib import Path

import pytest
from tests.cli.calls import Output, Refused


@pytest.fixture
def said(output_of: Output) -> Output:
    """Count, and return what is printed."""
    return partial(output_of, "cost")


def test_a_registered_model(said: Output) -> None:
    text = said("gru-baseline", "--derive", "--steps", "10")
    assert "operations: T·1984 = 10·1984 = 19,840" in text


def test_json(said: Output) -> None:
    values = json.loads(said("visits-baseline", "--lengths", "1..20", "--json"))
    assert values["operations"] == values["amounts"]["useful"]["operations"] == 13286720
    assert values["amounts"]["executed"]["operations"] == 24364480
    assert [layer["name"] for layer in values["layers"]] == ["fc1", "gru", "fc2"]


def test_a_setting(said: Output) -> None:
    values = json.loads(said("visits-improved", "--kwargs", '{"n_codes": 100}', "--json"))
    assert values["layers"][0]["parameters"] == 101 * 64


def test_the_reports_convention(said: Output) -> None:
    text = said("cnn-baseline", "--convention", "report-2019")
    assert "the report leaves out 422 parameters and 68,772 operations" in text


FILE = """
import torch
from torch import nn
class Model(nn.Module):
    def __init__(self, hidden=2):
        super().__init__()
        self.fc = nn.Linear(3, hidden)
    def forward(self, x):
        return torch.cummax(self.fc(x), -1).values
"""


def test_a_class_and_its_unknown_operation(said: Output, refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(FILE)
    error = refused("cost", f"{path}:Model", "--input", "1x3")
    assert error.startswith(
        "sequela: error: Model has operations without a counting rule: aten::cummax in model.py"
    )
    assert "LOWER BOUND" in said(f"{path}:Model", "--input", "1x3", "--allow-unknown")


def test_errors(refused: Refused) -> None:
    assert "did you mean 'gru-baseline'" in refused("cost", "gru-baselin")
    assert "convention" in refused("cost", "gru-baseline", "--convention", "flops")
    assert "not JSON" in refused("cost", "gru-baseline", "--kwargs", "{")


@pytest.mark.parametrize("written", ["1.5", "0x10", "1_000", "1e3", "\N{FULLWIDTH DIGIT FIVE}"])
def test_a_number_is_taken_as_it_is_written(written: str, refused: Refused) -> None:
    assert "--steps" in refused("cost", "mlp-baseline", "--steps", written)
    assert "lengths are" in refused("cost", "visits-baseline", "--lengths", f"1,{written}")


@pytest.mark.parametrize("value", ["true", "1.0", '"8"', "null", "[8]"])
def test_a_size_is_a_whole_number(value: str, refused: Refused) -> None:
    line = refused("cost", "gru-baseline", "--kwargs", f'{{"hidden": {value}}}')
    assert "expected a whole number" in line


def test_baseline_models(said: Output, refused: Refused) -> None:
    text = said("logistic-regression", "--derive")
    assert "operations (dot product): m·2·n = 5·2·178 = 1,780" in text
    assert said("prevalence").splitlines()[-1].split() == ["total", "2", "0", "0"]
    values = json.loads(said("minirocket", "--steps", "64", "--json"))
    assert values["macs"] == 5 * 9996
    assert "name the folder of a run" in refused("cost", "boosting")
    assert "is a baseline model" in refused("cost", "sofa", "--lengths", "1..3")
    assert "n_outputs must be a whole" in refused("cost", "sofa", "--kwargs", '{"n_outputs": 2.5}')
