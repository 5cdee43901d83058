"""The commands that a page gives to make its runs again."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest

from sequela.cli.app import app
from sequela.config import RunSettings, TrainingSettings
from sequela.report.commands import commands
from sequela.studies import seizure

if TYPE_CHECKING:
    from sequela.studies.folder import RunFolder


@dataclass
class Asked:
    """As much of a run as its command depends on."""

    settings: RunSettings


def told(*settings: RunSettings) -> list[str]:
    return commands([cast("RunFolder", Asked(each)) for each in settings])


@pytest.mark.parametrize(("quick", "flag"), [(False, ""), (True, " --quick")])
def test_the_studys_own_runs_are_one_command(quick: bool, flag: str) -> None:  # noqa: FBT001
    runs = seizure.runs(data="uci-seizure", seed=3, quick=quick)
    expected = [f"sequela reproduce seizure --data uci-seizure --seed 3{flag}"]
    assert told(*runs) == told(runs[0]) == expected


def test_other_runs_have_a_command_each_that_the_command_line_takes() -> None:
    changed = seizure.training_of("gru-improved", {"epochs": 3, "class_weights": True})
    gru = RunSettings(model="gru-improved", data="bonn", seed=1, split="row", training=changed)
    mine = RunSettings(model="mine", data="bonn")
    lines = told(gru, mine)
    assert lines == [
        "sequela train gru-improved --data bonn --split row --seed 1 --epochs 3 --class-weights",
        "sequela train mine --data bonn --split recording --seed 0",
    ]
    for line in lines:
        app.parse_args(line.split()[1:], exit_on_error=False, print_error=False)


def test_settings_that_no_option_changes_are_pointed_to() -> None:
    odd = RunSettings(
        model="mlp-baseline", data="bonn", training=TrainingSettings(label_smoothing=0.3)
    )
    assert told(odd)[0].endswith("(and what its config.toml changes beyond that)")
