"""The ranges of a search: settings of a network and of its training."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from sequela.config import RunSettings, TrainingSettings
from sequela.errors import SettingError, unknown_name
from sequela.models.inputs import sizes_of
from sequela.models.registry import ModelEntry

Space = Mapping[str, BaseDistribution]
_WIDE = 10  # factor between the ends of a range from which it is drawn on a logarithmic scale
_LAYER = 8  # size from which a number of the network is the width of a layer, else a count
_RATES = ("dropout", "input_dropout", "feature_dropout")  # shares, searched from 0 to 0.6
_FORM = "expected NAME=LOW..HIGH or NAME=A,B,C, for example learning_rate=1e-4..1e-1"


def defaults_of(entry: ModelEntry, settings: RunSettings) -> dict[str, object]:
    """Return the value, without a search, of each setting that can be searched."""
    config = entry.config_class
    sizes = sizes_of(entry.reads)
    network = {f.name: f.default for f in fields(config) if f.name not in sizes} if config else {}
    return {**settings.training.model_dump(), **network, **settings.model_settings}


def space_of(entry: ModelEntry, settings: RunSettings, requested: Sequence[str] = ()) -> Space:
    """Return the ranges of a search by the name of the setting; the run is within usual ranges.

    The settings to search are written ``NAME=LOW..HIGH`` or ``NAME=A,B,C`` (default: learning rate,
    batch size, weight decay, schedule, and the sizes and dropout of the network).
    """
    defaults = defaults_of(entry, settings)
    if not requested:
        return _usual(defaults)
    space: dict[str, BaseDistribution] = {}
    for text in requested:
        name, distribution = _parsed(text, defaults)
        if name in space:
            raise SettingError(f"--search names {name} twice: name it once")
        space[name] = distribution
    return space


def _usual(defaults: Mapping[str, Any]) -> Space:
    rate, batch = defaults["learning_rate"], defaults["batch_size"]
    space: dict[str, BaseDistribution] = {
        # Rates act by their ratio: 0.001 and 0.002 differ as much as 0.01 and 0.02.
        "learning_rate": FloatDistribution(rate / _WIDE, rate * _WIDE, log=True),
        "batch_size": IntDistribution(max(batch // 4, 1), batch * 4, log=True),
        "weight_decay": FloatDistribution(0.0, max(0.1, 2 * defaults["weight_decay"])),
        "schedule": CategoricalDistribution(("constant", "one-cycle")),
    }
    for name, value in defaults.items():
        if name in TrainingSettings.model_fields:
            continue
        if name in _RATES:
            space[name] = FloatDistribution(0.0, max(0.6, value))
        elif type(value) is int and value >= _LAYER:
            space[name] = IntDistribution(max(value // 4, 1), value * 4, log=True)
        elif type(value) is int and value > 0:
            space[name] = IntDistribution(1, value + 2)  # layers or heads, of which few are tried
    return space


def _parsed(text: str, defaults: Mapping[str, object]) -> tuple[str, BaseDistribution]:
    name, equals, values = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals:
        raise SettingError(f"--search {text} cannot be used: {_FORM}")
    if name not in defaults:
        raise unknown_name("setting", name, defaults)
    kind = type(defaults[name])
    if issubclass(kind, (tuple, list, dict)):
        raise SettingError(f"--search {text} cannot be used: {name} is a list, which has no range")
    ends = values.split("..")
    distribution = _range(text, ends, kind) if len(ends) > 1 else _choices(text, values, kind)
    if name in TrainingSettings.model_fields:
        for value in _extremes(distribution):  # raises an error before the search
            TrainingSettings.of(**{name: value})
    return name, distribution


def _range(text: str, ends: Sequence[str], kind: type) -> BaseDistribution:
    try:
        low, high = (float(end) for end in ends)
    except ValueError as error:
        raise SettingError(f"--search {text} cannot be used: {_FORM}") from error
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SettingError(
            f"--search {text} cannot be used: expected a low number, two dots, a higher number"
        )
    log = low > 0 and high / low >= _WIDE  # such as learning rates
    if kind in (str, bool):
        raise SettingError(f"--search {text} cannot be used: expected values such as NAME=A,B")
    if kind is not int:
        return FloatDistribution(low, high, log=log)
    if low != int(low) or high != int(high):
        raise SettingError(f"--search {text} cannot be used: expected whole numbers")
    return IntDistribution(int(low), int(high), log=log)


def _choices(text: str, values: str, kind: type) -> BaseDistribution:
    words = [word.strip() for word in values.split(",") if word.strip()]
    if kind is str:
        choices: list[str | float | bool | None] = list(words)
    else:
        try:
            choices = [json.loads(word) for word in words]
        except ValueError as error:
            raise SettingError(f"--search {text} cannot be used: {_FORM}") from error
    kinds: Sequence[type] = [kind] if kind in (int, str, bool) else [int, float]
    if len(set(choices)) < 2 or any(type(word) not in kinds for word in choices):  # noqa: PLR2004
        raise SettingError(
            f"--search {text} cannot be used: expected two values or more of the kind "
            f"{'number' if kind in (int, float, type(None)) else kind.__name__}"
        )
    return CategoricalDistribution(choices)


def _extremes(distribution: BaseDistribution) -> Sequence[object]:
    if isinstance(distribution, (IntDistribution, FloatDistribution)):
        return (distribution.low, distribution.high)
    return distribution.choices if isinstance(distribution, CategoricalDistribution) else ()


def within(space: Space, defaults: Mapping[str, Any]) -> dict[str, object]:
    """Return the defaults that are within their range, for the first trial."""
    values = {}
    for name, distribution in space.items():
        value = defaults[name]
        if isinstance(distribution, (IntDistribution, FloatDistribution)):
            inside = value is not None and distribution.low <= value <= distribution.high
        else:
            inside = value in _extremes(distribution)
        if inside:
            values[name] = value
    return values


def changed(settings: RunSettings, values: Mapping[str, object]) -> RunSettings:
    """Return the settings of a run with other values."""
    of_training = {n: v for n, v in values.items() if n in TrainingSettings.model_fields}
    of_network = {n: v for n, v in values.items() if n not in of_training}
    training = TrainingSettings.of(**{**settings.training.model_dump(), **of_training})
    model_settings = {**settings.model_settings, **of_network}
    return settings.model_copy(update={"training": training, "model_settings": model_settings})


def described(space: Space) -> dict[str, object]:
    """Return the ranges as JSON."""
    return {name: json.loads(distribution_to_json(values)) for name, values in space.items()}
