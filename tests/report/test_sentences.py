"""What a page says of steps and codes."""

from types import SimpleNamespace
from typing import Any

import pytest
from tests.records import part_of

from sequela.evaluation.metrics import named
from sequela.report.page import open_templates
from sequela.report.sections.group import Group
from sequela.runs.record import DataRecord, SequencesRecord, Steps

SIGNALS = part_of(DataRecord, recordings=400, sequences=None)
prose: Any = open_templates().globals["prose"]


def sequences(share_of_one: float, *quantiles: int) -> SequencesRecord:
    spread = part_of(
        Steps,
        share_of_one=share_of_one,
        quantiles=dict(enumerate(quantiles or (1, 1, 2, 3, 5))),
        most=9,
    )
    return part_of(SequencesRecord, steps=2.25).replace(steps_distribution=spread)


@pytest.mark.parametrize(
    ("models", "share", "warned_of"),
    [
        (["visits-baseline"], 0.51, ["Visits-Baseline"]),
        (["visits-baseline"], 0.5, []),
        (["logistic-regression", "boosting"], 1.0, []),
        (
            ["boosting", "visits-improved", "visits-baseline"],
            0.864,
            ["Visits-Improved", "Visits-Baseline"],
        ),
        (["visits-baseline"], None, []),
    ],
)
def test_a_recurrent_model_of_one_step_is_warned_of(
    models: list[str], share: float | None, warned_of: list[str]
) -> None:
    listed = [SimpleNamespace(name=model, title=model.title()) for model in models]
    data = SIGNALS if share is None else part_of(DataRecord, sequences=sequences(share))
    property_: Any = Group.recurrent
    group = SimpleNamespace(plain=listed, data=data)
    group.recurrent = property_.fget(group)
    assert group.recurrent == warned_of
    if len(warned_of) > 1:
        assert prose.one_step(group).startswith(
            "86 % of the sequences have one step, where a recurrent model (Visits-Improved, Visits-"
        )


def test_steps_are_told_by_their_distribution() -> None:
    assert prose.steps(sequences(0.4)) == (
        "A sequence has 2.2 steps on average (median 2, maximum 9). The middle half of the "
        "sequences have 1 to 3 and nine of ten 1 to 5; 40 % have one step."
    )
    same = "(median 9, maximum 9). The middle half of the sequences have 9 and nine of ten 9;"
    assert same in prose.steps(sequences(0.0, 9, 9, 9, 9, 9))
    before = part_of(SequencesRecord, steps=2.25, steps_distribution=None)
    assert prose.steps(before) == "A sequence has 2.2 steps on average."


@pytest.mark.parametrize(
    ("digits", "said"),
    [
        (None, ""),
        (0, "ICD codes are cut to their category (three characters, E codes four)"),
        (2, "(three characters, E codes four) and 2 characters after it"),
    ],
)
def test_the_level_of_codes_is_told(digits: int | None, said: str) -> None:
    settings = part_of(SequencesRecord, settings={"icd_digits": digits})
    found = prose.codes(part_of(DataRecord, sequences=settings))
    assert found.endswith(said)
    assert bool(found) == bool(said)
    assert prose.codes(SIGNALS) == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("accuracy", "91 % (95 % interval 90 % to 93 %)"),
        ("auroc", "0.91 (95 % interval 0.90 to 0.93)"),
    ],
)
def test_the_main_number_is_told_with_its_interval(name: str, said: str) -> None:
    numbers = {name: 0.914, f"{name}_ci": [0.9, 0.93]}
    assert prose.measured(named(name), numbers) == said
    del numbers[f"{name}_ci"]
    assert prose.measured(named(name), numbers) == said.partition(" (")[0]
