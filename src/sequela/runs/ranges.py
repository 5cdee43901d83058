"""The recorded ranges and trials of a search, read without the library that made them."""

import math
from collections.abc import Mapping
from typing import Any


def outside(space: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Return the first value of a trial that its search cannot have drawn; empty if there is none.

    Example:
        >>> space = {"n": {"name": "IntDistribution", "attributes": {"low": 1, "high": 4}}}
        >>> outside(space, {"n": 9}), outside(space, {"n": 2})
        ('n = 9', '')
    """
    for name, value in values.items():
        if name not in space:
            return f"{name}, which is not searched"
        each, of = space[name], space[name]["attributes"]
        if each["name"] == "CategoricalDistribution":
            fits = any(value == choice and type(value) is type(choice) for choice in of["choices"])
        else:
            kinds = (int,) if each["name"] == "IntDistribution" else (int, float)
            fits = (
                type(value) in kinds and math.isfinite(value) and of["low"] <= value <= of["high"]
            )
        if not fits:
            return f"{name} = {value!r}"
    return ""
