"""Which model ``auto`` stands for."""

from pathlib import Path
from typing import Literal

import pytest

from sequela import VisitClassifier
from sequela.errors import SettingError
from sequela.models import defaults, registry
from sequela.models.defaults import DEFAULTS, default_for
from sequela.models.registry import lookup, register

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_each_default_is_a_network_that_reads_such_data() -> None:
    kinds: dict[str, Literal["signal", "records"]] = {
        "signal": "signal",
        "values": "records",
        "codes": "records",
        "visits": "records",
    }
    for name, each in DEFAULTS.items():
        assert each.model in registry.MODELS
        assert registry.MODELS[each.model].reads_of(kinds[name])
    assert registry.MODELS[DEFAULTS["values"].model].reads[0] == "values"
    assert registry.MODELS[DEFAULTS["codes"].model].reads[0] == "codes"
    assert registry.MODELS[DEFAULTS["visits"].model].reads == VisitClassifier.gives


def test_the_choice_is_by_what_the_examples_hold() -> None:
    def records(**said: float) -> defaults.Default:
        return default_for({"sequences": {"channels": 3, **said}})

    assert default_for({"recordings": 400}) is DEFAULTS["signal"]
    assert records(with_measurements=0.51) is DEFAULTS["values"]
    assert records(with_measurements=0.5) is DEFAULTS["codes"]
    assert records(with_measurements=0.0) is DEFAULTS["codes"]
    assert records() is DEFAULTS["values"]  # of an earlier version
    assert default_for({"sequences": {"channels": 0}}) is DEFAULTS["codes"]


def test_the_table_of_the_docs_is_the_table() -> None:
    rows = "\n".join(f"| {each.of} | `{each.model}` |" for each in DEFAULTS.values())
    assert f"| data | model |\n|---|---|\n{rows}\n\n" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", ["auto", "ensemble"])
def test_names_that_are_no_model(name: str) -> None:
    with pytest.raises(SettingError, match=f"'{name}' is registered already"):
        register(name, registry.MODELS["mlp-baseline"])
    with pytest.raises(SettingError, match=f"^'{name}' "):
        lookup(name)
