"""The sizes of models that are counted without data."""

from typing import Any

from sequela.errors import SettingError
from sequela.formats.opened import json_value

VISITS = 20
MOST_NUMBERS = 50_000_000
"""The limit for the numbers of an input whose values count, such as the codes of all visits."""
SIZES = {
    "n_chans": 1,
    "n_times": 178,
    "n_codes": 911,
    "n_channels": 10,
    "n_static": 3,
    "n_features": 100,
    "n_outputs": 2,
}
"""Sizes for models whose config does not set them, for counting without data."""


def positive(what: str, number: int) -> int:
    """Return the number; raise a SettingError if it is below one, or not a whole number."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise SettingError(f"{what} must be a whole number of at least 1, not {number!r}")
    return at_most(what, number)


def at_most(what: str, number: int) -> int:
    """Return the number; raise a SettingError if it is above ``MOST_NUMBERS``."""
    if number > MOST_NUMBERS:
        raise SettingError(f"{what} must be at most {MOST_NUMBERS:,}, not {number:,}")
    return number


def parse_settings(text: str) -> dict[str, Any]:
    """Parse settings by name from JSON; a list becomes a tuple, as in frozen configs."""
    try:
        values = json_value(text)
    except ValueError as error:
        raise SettingError(f"--kwargs is not JSON ({error}): write '{{\"hidden\": 64}}'") from error
    if not isinstance(values, dict):
        raise SettingError(f'--kwargs must be a JSON object like {{"hidden": 64}}, not {text}')
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
