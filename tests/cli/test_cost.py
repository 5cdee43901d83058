import json
from pathlib import Path

import pytest

from sequela.cli.app import main


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    try:
        main(["cost", *arguments])
    except SystemExit as stop:
        assert stop.code in (0, None)  # noqa: PT017
    return capsys.readouterr().out


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["cost", *arguments])
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert not captured.out
    return captured.err


def test_a_registered_model(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "gru-baseline", "--derive", "--steps", "10")
    assert "operations: T·1984 = 10·1984 = 19,840" in text


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    values = json.loads(output(capsys, "visits-baseline", "--lengths", "1..20", "--json"))
    assert values["operations"] == values["amounts"]["useful"]["operations"] == 13286720
    assert values["amounts"]["executed"]["operations"] == 24364480
    assert [layer["name"] for layer in values["layers"]] == ["fc1", "gru", "fc2"]


def test_json_of_training(capsys: pytest.CaptureFixture[str]) -> None:
    values = json.loads(output(capsys, "mlp-baseline", "--json", "--training"))
    assert values["training"]["forward"] == 5920
    assert values["training"]["update"] == 14 * 2949


def test_an_optimiser_asks_for_training(capsys: pytest.CaptureFixture[str]) -> None:
    values = json.loads(output(capsys, "mlp-baseline", "--json", "--optimiser", "sgd"))
    assert values["training"]["update"] == 2 * 2949
    assert "unknown optimiser" in refusal(capsys, "mlp-baseline", "--optimiser", "sgdd")


def test_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    values = json.loads(output(capsys, "visits-improved", "--kwargs", '{"n_codes": 100}', "--json"))
    assert values["layers"][0]["parameters"] == 101 * 64


def test_the_reports_convention(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "cnn-baseline", "--convention", "report-2019")
    assert "the report leaves out 422 parameters and 68,772 operations" in text


def test_forms(capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "mlp-baseline", "--format", "markdown").startswith("### mlp-baseline")
    assert output(capsys, "mlp-baseline", "--format", "mathml").startswith("<section")


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


def test_a_class_and_its_unknown_operation(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "model.py"
    path.write_text(FILE)
    error = refusal(capsys, f"{path}:Model", "--input", "1x3")
    assert error.startswith(
        "sequela: error: Model computes what has no rule: aten::cummax in model.py"
    )
    assert error.count("\n") == 1
    text = output(capsys, f"{path}:Model", "--input", "1x3", "--allow-unknown")
    assert "LOWER BOUND" in text


def test_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'gru-baseline'" in refusal(capsys, "gru-baselin")
    assert "convention" in refusal(capsys, "gru-baseline", "--convention", "flops")
    assert "not JSON" in refusal(capsys, "gru-baseline", "--kwargs", "{")


@pytest.mark.parametrize("written", ["1.5", "0x10", "1_000", "1e3", "\N{FULLWIDTH DIGIT FIVE}"])
def test_a_number_is_taken_as_it_is_written(
    written: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--steps" in refusal(capsys, "mlp-baseline", "--steps", written)
    assert "lengths are" in refusal(capsys, "visits-baseline", "--lengths", f"1,{written}")


@pytest.mark.parametrize("value", ["true", "1.0", '"8"', "null", "[8]"])
def test_a_size_is_a_whole_number(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(capsys, "gru-baseline", "--kwargs", f'{{"hidden": {value}}}')
    assert "expected a whole number" in said
