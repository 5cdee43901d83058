"""Which model ``auto`` stands for."""

from pathlib import Path

import pytest

from sequela import VisitClassifier
from sequela.datasets.catalog import Modality
from sequela.errors import SettingError
from sequela.models import defaults, registry
from sequela.models.defaults import DEFAULTS, default_for
from sequela.models.reference import ReferenceModel
from sequela.models.registry import lookup

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_each_default_reads_such_data_and_is_a_network_but_for_single_rows() -> None:
    baseline = lookup(DEFAULTS["row"].model)
    assert isinstance(baseline, ReferenceModel)
    assert baseline.reads_of(Modality.RECORDS)
    networks = {name: each.model for name, each in DEFAULTS.items() if name != "row"}
    entries = {name: registry.MODELS[model] for name, model in networks.items()}
    for name, entry in entries.items():
        assert entry.reads_of(Modality.EEG if name == "signal" else Modality.RECORDS)
    assert entries["values"].reads[0] == "values"
    assert entries["codes"].reads[0] == "codes"
    assert entries["visits"].reads == VisitClassifier.gives


def test_the_choice_is_by_what_the_examples_hold() -> None:
    def records(**said: float) -> defaults.Default:
        return default_for({"sequences": {"channels": 3, **said}})

    assert default_for({"recordings": 400}) is DEFAULTS["signal"]
    assert records(with_measurements=0.51) is DEFAULTS["values"]
    assert records(with_measurements=0.5) is DEFAULTS["codes"]
    assert records(with_measurements=0.0) is DEFAULTS["codes"]
    assert default_for({"example": "row", "sequences": {"channels": 3}}) is DEFAULTS["row"]
    assert records() is DEFAULTS["values"]  # of an earlier version
    assert default_for({"sequences": {"channels": 0}}) is DEFAULTS["codes"]


def test_the_table_of_the_docs_is_the_table() -> None:
    rows = "\n".join(f"| {each.data} | `{each.model}` |" for each in DEFAULTS.values())
    assert f"| data | model |\n|---|---|\n{rows}\n\n" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", ["auto", "ensemble"])
def test_names_that_are_no_model(name: str) -> None:
    with pytest.raises(SettingError, match=f"'{name}' is registered already"):
        registry.MODELS.add(registry.MODELS["mlp-baseline"], name)
    with pytest.raises(SettingError, match=f"^'{name}' "):
        lookup(name)
