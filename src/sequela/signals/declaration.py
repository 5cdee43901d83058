"""The declaration of a user's own recordings: a ``signals.toml`` with the data, and options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sequela.config import SignalSettings
from sequela.errors import SettingError
from sequela.formats import opened
from sequela.formats.csv_files import Format

NAME = "signals.toml"
_EXPECTED = 'a declaration of recordings in TOML, such as `label = "stage"`'
_REMEDY = "correct it, or let `sequela data describe` propose one"


def declared(path: Path, given: SignalSettings | None = None) -> SignalSettings:
    """Return the declaration of the data at a path, changed by options."""
    place = _place(path)
    found = SignalSettings()
    if place.exists():
        found = opened.declaration(place, SignalSettings, _EXPECTED, _REMEDY, keyed=True)
    said = {} if given is None else given.model_dump(exclude_defaults=True)
    form = {"format": (*found.format, *said.pop("format", ()))}
    settings = SignalSettings.of(**{**found.model_dump(exclude_defaults=True), **said, **form})
    _check(settings, place)
    return settings


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


@dataclass(frozen=True)
class Classes:
    """The classes of data, and their values there."""

    names: tuple[str, ...]
    found: Mapping[str, int]
    omitted: frozenset[str]

    @classmethod
    def of(cls, settings: SignalSettings, seen: Sequence[str] = ()) -> Self:
        """Return the declared classes, or else all values seen, sorted.

        Example:
            >>> said = SignalSettings(classes=("wake=W", "sleep=N1|N2"))
            >>> Classes.of(said).names, Classes.of(said).found["N2"]
            (('wake', 'sleep'), 1)
        """
        omitted = frozenset(settings.omit)
        entries = settings.classes or tuple(sorted(set(seen) - omitted, key=_by_number))
        names: list[str] = []
        found: dict[str, int] = {}
        declared_names = {entry.partition("=")[0] for entry in entries}
        if settings.background and settings.background not in declared_names:
            names.append(settings.background)  # events are the second of two classes
        for entry in entries:
            name, equals, values = entry.partition("=") if settings.classes else (entry, "", "")
            if name in names:
                raise SettingError(f"class '{name}' is named twice: expected each class once")
            names.append(name)
            for value in values.split("|") if equals else (name,):
                if value in found or value in omitted:
                    raise SettingError(
                        f"'{value}' is of two classes, or is left out as well: expected it once in "
                        "classes and omit"
                    )
                found[value] = len(names) - 1
        if entries and len(names) == 1:
            raise SettingError(
                f"there is one class, {names[0]}: expected two or more to tell apart; name them "
                "with --classes, or windows without an event with --background"
            )
        return cls(tuple(names), found, omitted)


def _by_number(name: str) -> tuple[bool, float, str]:
    """Return a sort key: numbers by their size and before words."""
    try:
        return (False, float(name), name)
    except ValueError:
        return (True, 0.0, name)
