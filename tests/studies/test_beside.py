from types import SimpleNamespace
from typing import Any

import pytest

from sequela.studies import verdicts
from sequela.studies.registry import STUDIES


class _ComparedError(Exception):
    """Ends the test where the models are compared."""


def _run(model: str, auroc: float) -> Any:
    training = SimpleNamespace(class_weights=False)
    data = SimpleNamespace(classes=["survived", "died"])
    settings = SimpleNamespace(model=model, training=training)
    return SimpleNamespace(settings=settings, data=data, test={"auroc": auroc})


def test_the_best_baseline_model_need_not_be_one_of_the_study(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[str] = []

    def compare(runs: list[Any]) -> Any:
        compared.extend(run.settings.model for run in runs)
        raise _ComparedError

    monkeypatch.setattr(verdicts, "planned_leak", lambda _: "")
    monkeypatch.setattr(verdicts, "default_for", lambda _: SimpleNamespace(model="values-lstm"))
    monkeypatch.setattr(verdicts, "compare_opened", compare)
    runs = [_run("values-lstm", 0.8), _run("prevalence", 0.5), _run("summaries-boosting", 0.7)]
    with pytest.raises(_ComparedError):
        verdicts.default_model(STUDIES["mortality"], runs)
    assert compared == ["values-lstm", "summaries-boosting"]
