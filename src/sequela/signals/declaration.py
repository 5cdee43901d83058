"""The declaration of a user's own recordings: a ``signals.toml`` with the data, and options."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from sequela.config import SignalSettings
from sequela.errors import SettingError
from sequela.formats import opened
from sequela.formats.csv_files import Format
from sequela.signals.window_classes import Classes

NAME = "signals.toml"
_EXPECTED = 'a declaration of recordings in TOML, such as `label = "stage"`'
_REMEDY = "correct it, or let `sequela data describe` propose one"


def declared(path: Path, changes: SignalSettings | None = None) -> SignalSettings:
    """Return the declaration of the data at a path, changed by options."""
    place = _place(path)
    in_file = SignalSettings()
    if place.exists():
        state = place.stat()
        in_file = _read(place, state.st_size, state.st_mtime_ns)
    options = {} if changes is None else changes.model_dump(exclude_defaults=True)
    options["format"] = (*in_file.format, *options.get("format", ()))
    settings = SignalSettings.of(**{**in_file.model_dump(exclude_defaults=True), **options})
    _check(settings, place)
    return settings


@lru_cache(maxsize=8)
def _read(place: Path, _size: int, _changed: int) -> SignalSettings:
    """Read a declaration, once while the file stays as it is."""
    return opened.declaration(place, SignalSettings, _EXPECTED, _REMEDY, keyed=True)


def no_subjects(unit: str) -> str:
    """Return a note that people are unknown, where a split is by session or recording."""
    return (
        f"subjects are not known: the split is by {unit}, and {unit}s of one person may be in two "
        "parts"
    )


def prepared_as(
    model: SignalSettings, settings: SignalSettings, place: object, *, fixed: bool = False
) -> dict[str, Any]:
    """Return the preparation of a model, or raise a SettingError for recordings of another one."""
    trained = model.preparation.model_dump(exclude_defaults=True)
    stated = settings.preparation.model_dump(exclude_defaults=True)
    if stated != trained if fixed else not stated.items() <= trained.items():
        here, of_model = (e.in_words or ("not prepared",) for e in (settings, model))
        raise SettingError(
            f"{place}: {here[0]}, but the model was trained on recordings {of_model[0]}: leave the "
            "preparation out of signals.toml; the model prepares new recordings itself"
        )
    return trained


def is_declared(path: Path) -> bool:
    """Return whether there is a declaration with the data at a path."""
    return _place(path).exists()


def _place(path: Path) -> Path:
    return (path if path.is_dir() else path.parent) / NAME


def _check(settings: SignalSettings, place: Path) -> None:
    where = f"{place}: " if place.exists() else ""
    if settings.stride and not settings.window:
        raise SettingError(
            f"{where}a stride of {settings.stride:g} s without a window: give the window as well, "
            "in seconds"
        )
    if settings.label and settings.events:
        raise SettingError(
            f"{where}both label ({settings.label}) and events ({settings.events}) are given: "
            "expected one of them; windows have their class from a column or from events"
        )
    if settings.background and not settings.events:
        raise SettingError(
            f"{where}a class of windows without an event ({settings.background}), and no events: "
            "give their place with --events"
        )
    if Format.of(settings.format).thousands:
        raise SettingError(f"{where}samples have no sign between thousands: leave `thousands` out")
    Classes.of(settings)
