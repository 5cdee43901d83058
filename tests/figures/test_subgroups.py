from collections.abc import Callable

import numpy as np
import pytest

from sequela.errors import SettingError
from sequela.evaluation.decision import Threshold
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.subgroups import Subgroup, subgroups
from sequela.figures.figure import Figure
from sequela.figures.subgroups import subgroup_forest

QUICK = Bootstrap(resamples=100)


def found(predictions: Predictions) -> list[Subgroup]:
    index = np.arange(predictions.n_examples)
    attributes = {
        "sex": np.where(index % 2 == 0, "female", "male"),
        "unit": np.where(index < 4, "NICU", np.where(index < 200, "MICU", "SICU")),
    }
    rng = np.random.default_rng(0)
    at = Threshold(0.3, "a test")
    return subgroups(predictions, attributes, ["auroc"], rng, threshold=at, how=QUICK, smallest=10)


def test_shown_groups_have_numbers_and_suppressed_ones_are_counted(
    make_predictions: Callable[..., Predictions], checked: Callable[[Figure], list[str]]
) -> None:
    predictions = make_predictions(per_group=1)
    groups = found(predictions)
    figure = subgroup_forest(groups, "auroc", event="deaths")
    by_value = {row["value"]: row for row in figure.rows if "value" in row}
    female = groups[0]
    assert female.cell is not None
    assert by_value["female"]["auroc"] == female.metrics["auroc"].value
    assert by_value["female"]["events"] == female.cell.n_of_class[1]
    # The counts of the second are withheld, since the first's could be worked out from them.
    assert "NICU" not in by_value
    assert figure.rows[-1] == {"attribute": "unit", "suppressed": True}
    row = by_value["MICU"]
    assert row.pop("suppressed")
    named = {name for name, number in row.items() if number is not None}
    assert named == {"attribute", "value", "auroc", "low", "high"}
    texts = checked(figure)
    assert {"sex", "unit"} <= set(texts)
    assert "unit: 1 hidden: too few subjects or deaths" in texts
    assert any(t.startswith("MICU: ") and t.endswith("; counts hidden") for t in texts)
    counts = f"200 subjects, {female.cell.n_of_class[1]} deaths"
    (line,) = {text for text in texts if text.startswith("female")}
    assert line.endswith(counts)
    assert line in figure.alt


@pytest.mark.parametrize("name", ["observed_minus_expected", "alarm_rate"])
def test_calibration_and_alarms_by_subgroup(
    make_predictions: Callable[..., Predictions], checked: Callable[[Figure], list[str]], name: str
) -> None:
    groups = found(make_predictions(per_group=1))
    figure = subgroup_forest(groups, name)
    assert figure.rows[0][name] == getattr(groups[0], name).value
    checked(figure)


def test_a_metric_that_was_not_asked_for_cannot_be_had(
    make_predictions: Callable[..., Predictions],
) -> None:
    assert "female: not defined" in subgroup_forest(found(make_predictions()), "accuracy").alt


def test_no_subgroup_is_refused() -> None:
    with pytest.raises(SettingError, match="no subgroup"):
        subgroup_forest([], "auroc")
