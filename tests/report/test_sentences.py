"""What a page says of steps and codes."""

from types import SimpleNamespace
from typing import Any

import pytest
from tests.records import part_of

from sequela.evaluation.metrics import named
from sequela.report import sentences
from sequela.runs.record import DataRecord, SequencesRecord, Steps

SIGNALS = part_of(DataRecord, recordings=400)


def entry(model: str, share_of_one: float | None) -> Any:
    spread = part_of(
        Steps,
        share_of_one=share_of_one,
        quantiles={"0.05": 1, "0.25": 1, "0.5": 2, "0.75": 3, "0.95": 5},
        most=9,
    )
    sequences = part_of(SequencesRecord, steps=2.25)
    if share_of_one is not None:
        sequences = sequences.replace(steps_distribution=spread)
    data = part_of(DataRecord, sequences=sequences)
    return SimpleNamespace(name=model, title=model.title(), data=data)


@pytest.mark.parametrize(
    ("models", "share", "warned_of"),
    [
        (["visits-baseline"], 0.51, "Visits-Baseline"),
        (["visits-baseline"], 0.5, ""),
        (["logistic-regression", "boosting"], 1.0, ""),
        (["boosting", "visits-improved"], 1.0, "Visits-Improved"),
        (["visits-baseline"], None, ""),
    ],
)
def test_a_recurrent_model_of_one_step_is_warned_of(
    models: list[str], share: float | None, warned_of: str
) -> None:
    said = sentences.one_step([entry(model, share) for model in models])
    assert said.partition("model (")[2].partition(")")[0] == warned_of


def test_the_warning_names_the_models_and_the_share() -> None:
    both = [entry(name, 0.864) for name in ("visits-baseline", "visits-improved")]
    assert sentences.one_step(both).startswith(
        "86 % of the sequences have one step, where a recurrent model (Visits-Baseline, Visits-Imp"
    )
    signals = SimpleNamespace(name="gru-improved", title="GRU", data=SIGNALS)
    assert sentences.one_step([signals]) == ""  # type: ignore[list-item]


def test_steps_are_told_by_their_distribution() -> None:
    assert sentences.steps_in_words(entry("boosting", 0.4).data.sequences) == (
        "A sequence has 2.2 steps on average (median 2, maximum 9). The middle half of the "
        "sequences have 1 to 3 and nine of ten 1 to 5; 40 % have one step."
    )
    same = entry("boosting", 0.0).data.sequences
    same.steps_distribution.quantiles = dict.fromkeys(("a", "b", "c", "d", "e"), 9)
    assert (
        "(median 9, maximum 9). The middle half of the sequences have 9 and nine of ten 9;"
        in sentences.steps_in_words(same)
    )
    before = entry("boosting", None).data.sequences
    assert sentences.steps_in_words(before) == "A sequence has 2.2 steps on average."


@pytest.mark.parametrize(
    ("digits", "said"),
    [
        (None, ""),
        (0, "ICD codes are cut to their category (three characters, E codes four)"),
        (2, "(three characters, E codes four) and 2 characters after it"),
    ],
)
def test_the_level_of_codes_is_told(digits: int | None, said: str) -> None:
    sequences = part_of(SequencesRecord, settings={"icd_digits": digits})
    found = sentences.codes_in_words(part_of(DataRecord, sequences=sequences))
    assert found.endswith(said)
    assert bool(found) == bool(said)
    assert sentences.codes_in_words(SIGNALS) == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("accuracy", "accuracy 91 % (95 % interval 90 % to 93 %)"),
        ("auroc", "AUROC 0.91 (95 % interval 0.90 to 0.93)"),
    ],
)
def test_the_main_number_is_told_with_its_interval(name: str, said: str) -> None:
    numbers = {name: 0.914, f"{name}_ci": [0.9, 0.93]}
    judged: Any = SimpleNamespace(metric=named(name), test=numbers)
    assert sentences.main_number(judged) == said
    del numbers[f"{name}_ci"]
    assert sentences.main_number(judged) == said.partition(" (")[0]
