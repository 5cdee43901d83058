"""Models of other packages are evaluated, with intervals over patients."""

from typing import Any

import numpy as np
import pytest

import sequela
from sequela.errors import DataError, MissingGroupsWarning, SettingError


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    """Hazards grow with the first of three columns; follow-up ends at random."""
    from sksurv.util import Surv

    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    time, end = rng.exponential(4 / np.exp(x[:, 0])), rng.exponential(6, 400)
    y = Surv.from_arrays(time <= end, np.minimum(time, end))
    group = np.arange(400) // 2
    return {"x": x[:250], "y": y[:250], "new": x[250:], "new_y": y[250:], "groups": group[250:]}


def evaluated(data: dict[str, Any], model: Any, **more: Any) -> Any:
    given = {"groups": data["groups"], "train": data["y"], "horizons": [1, 3]} | more
    return sequela.evaluate_survival(model, data["new"], data["new_y"], **given)


def test_a_model_of_scikit_survival(data: dict[str, Any]) -> None:
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    model = CoxPHSurvivalAnalysis().fit(data["x"], data["y"])
    found = evaluated(data, model)
    numbers = found.numbers()
    expected = model.score(data["new"], data["new_y"])
    assert numbers["concordance (Harrell)"].value == pytest.approx(expected)
    for name, each in numbers.items():
        assert each.interval is not None, name
        assert each.interval.low <= each.value <= each.interval.high
        assert each.interval.n_groups == 75
    low, high = numbers["events by 3"].interval.low, numbers["events by 3"].interval.high
    assert low < numbers["predicted by 3"].value < high
    assert "150 examples in 75 groups" in repr(found)
    assert found.frame().num_rows == 11
    assert "<table>" in found._repr_html_()
    none = evaluated(data, np.tile([0.2, 0.5], (150, 1)))
    better = found.difference(none, "concordance (Uno)")
    assert better.interval.low > 0
    assert better.p_value < 0.01
    with pytest.raises(SettingError, match="no number 'AUROC' of both models"):
        found.difference(none, "AUROC")


@pytest.mark.parametrize("horizons", [[2], [1, 2]])
def test_probabilities_of_survival_are_no_risks(horizons: list[int]) -> None:
    """Of one horizon they rise and fall as risks do, and order the patients the other way."""
    y = np.array([(True, t) for t in (1.0, 2.0, 3.0, 4.0)], [("event", "?"), ("time", "f8")])
    risk = np.array([[0.9], [0.7], [0.3], [0.2]])[:, [0] * len(horizons)]
    sequela.evaluate_survival(risk, None, y, groups=range(4), horizons=horizons)
    with pytest.warns(UserWarning, match=r"concordance is 0.00, below .* pass 1 minus them"):
        sequela.evaluate_survival(1 - risk, None, y, groups=range(4), horizons=horizons)


def test_models_of_other_packages_give_the_same_risks(data: dict[str, Any]) -> None:
    pd = pytest.importorskip("pandas")
    from lifelines import CoxPHFitter
    from sksurv.linear_model import CoxPHSurvivalAnalysis

    names = ["a", "b", "c"]
    frame = pd.DataFrame(data["x"], columns=names)
    frame["event"], frame["time"] = data["y"]["event"], data["y"]["time"]
    theirs = CoxPHFitter().fit(frame, "time", "event")
    new = pd.DataFrame(data["new"], columns=names)
    groups = {"groups": data["groups"], "horizons": [1, 3]}
    found = sequela.evaluate_survival(theirs, new, data["new_y"], **groups)
    ours = CoxPHSurvivalAnalysis(ties="efron").fit(data["x"], data["y"])
    np.testing.assert_allclose(found.risk, evaluated(data, ours).risk, atol=0.01)


@pytest.mark.slow
def test_competing_events_of_hazardous(data: dict[str, Any]) -> None:
    from hazardous import SurvivalBoost

    rng = np.random.default_rng(0)
    y = np.empty(150, [("event", "i8"), ("time", "f8")])
    y["event"], y["time"] = rng.integers(0, 3, 150), rng.exponential(2, 150)
    pd = pytest.importorskip("pandas")

    frame = pd.DataFrame({"event": y["event"], "duration": y["time"]})
    model = SurvivalBoost(n_iter=3, show_progressbar=False, random_state=0)
    model.fit(data["new"], frame)
    given = {"groups": data["groups"], "horizons": [1, 2]}
    found = sequela.evaluate_survival(model, data["new"], y, **given)
    assert found.risk.shape == (150, 2)
    assert "competing events" in repr(found)


@pytest.mark.filterwarnings("ignore::sequela.errors.MissingGroupsWarning")
def test_mistakes_give_one_clear_sentence(data: dict[str, Any]) -> None:
    y, risk = data["new_y"], np.full((150, 1), 0.5)

    def refused(match: str, kind: type[Exception] = DataError, **given: Any) -> None:
        how = {"model": risk, "X": None, "y": y, "horizons": [1]} | given
        with pytest.raises(kind, match=match):
            sequela.evaluate_survival(**how)

    refused("expected two fields, first the event", y=np.zeros(150))
    refused("expected two fields, first the event", y=y[["time", "event"]])
    refused("no example had the event", y=y[~y["event"]], model=risk[: (~y["event"]).sum()])
    refused("the longest follow-up", horizons=[1e9])
    refused(r"shape \(150, 1\): expected \(150 examples, 2 horizons\)", horizons=[1, 2])
    refused("below 0, above 1 or not a number", model=risk * 3)
    refused("groups has 3 rows, and y 150", groups=[1, 2, 3])
    refused("groups is missing in 149 of 150 rows", groups=["P1", *[None] * 149])
    both = np.tile([0.2, 0.5], (150, 1))
    refused("from the earliest to the latest", model=both, horizons=[3, 1])
    refused("from the earliest to the latest", model=both, horizons=[1, 1])
    survives = "risks of 150 of 150 examples fall .* pass 1 minus them"
    refused(survives, model=1 - both, horizons=[1, 3])
    refused("predicts no risks over time", SettingError, model=object())
    with pytest.raises(DataError, match=r"give it to sequela\.evaluate_survival"):
        sequela.evaluate(None, None, y)


def test_missing_groups_are_warned_of(data: dict[str, Any]) -> None:
    with pytest.warns(MissingGroupsWarning):
        sequela.evaluate_survival(np.full((150, 1), 0.5), None, data["new_y"], horizons=[1])


@pytest.mark.parametrize("factor", [7, 365, 1 / 7, 1 / 365])
def test_a_training_set_in_another_unit_is_refused(data: dict[str, Any], factor: float) -> None:
    train = data["y"].copy()
    train["time"] *= factor
    with pytest.raises(DataError, match="convert train to the unit of y"):
        evaluated(data, np.tile([0.2, 0.5], (150, 1)), train=train)


@pytest.mark.filterwarnings("ignore::sequela.errors.MissingGroupsWarning")
def test_a_training_set_with_another_follow_up_is_in_the_same_unit(data: dict[str, Any]) -> None:
    rng, risk = np.random.default_rng(3), np.tile([0.2, 0.5], (400, 1))
    time, y = rng.exponential(40, 1200), np.empty(1200, data["y"].dtype)
    end = np.repeat([60, 3, 6], 400)  # patients of later years are followed for a shorter time
    y["event"], y["time"] = time <= end, np.minimum(time, end)
    long, short, middle = y[:400], y[400:800], y[800:]
    found = sequela.evaluate_survival(risk, None, short, train=long, horizons=[1, 2.5])
    assert np.median(found.followed.time) > 6 * np.median(found.outcomes.time)
    with pytest.raises(DataError, match="below 6, the longest follow-up of train"):
        sequela.evaluate_survival(risk, None, long, train=middle, horizons=[1, 8])
