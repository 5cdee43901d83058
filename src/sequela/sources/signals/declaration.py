"""What a ``signals.toml`` beside the data, and options, say of own recordings."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from sequela.config import SignalSettings
from sequela.errors import DataError, SettingError, unknown_name
from sequela.sources import opened

NAME = "signals.toml"
_EXPECTED = 'a declaration of recordings in TOML, such as `label = "stage"`'
_REMEDY = "correct it, or let `sequela data describe` propose one"


def declared(path: Path, given: SignalSettings | None = None) -> SignalSettings:
    """What is said of the data at a path: the declaration beside them, changed by options.

    Args:
        path: The data: a file, or a folder.
        given: What options say; it goes before what the declaration says.

    Raises:
        DataError: The declaration is not one; file, key and what is allowed are named.
        SettingError: What is said does not fit together.
    """
    place = _place(path)
    found = _read(place) if place.exists() else {}
    said = {} if given is None else given.model_dump(exclude_defaults=True)
    settings = SignalSettings.of(**{**found, **said})
    _check(settings, place)
    return settings


def is_declared(path: Path) -> bool:
    """Whether a declaration lies beside the data at a path."""
    return _place(path).exists()


def _place(path: Path) -> Path:
    return (path if path.is_dir() else path.parent) / NAME


def _read(place: Path) -> dict[str, Any]:
    """The keys of a declaration.

    Raises:
        DataError: It is not one.
    """
    try:
        keys = tomllib.loads(opened.text(place, _EXPECTED, _REMEDY))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DataError(f"{place}: not TOML ({error}); expected {_EXPECTED}; {_REMEDY}") from error
    for key in keys:
        if key not in SignalSettings.model_fields:
            raise DataError(f"{place}: {unknown_name('key', key, SignalSettings.model_fields)}")
    try:
        return SignalSettings(**keys).model_dump(exclude_defaults=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"][:1])
        raise DataError(
            f"{place}: key '{key}' is {keys.get(key)!r}: {first['msg']}; {_meaning(key)}"
        ) from error


def _meaning(key: str) -> str:
    """What a key is for, as the end of a sentence."""
    said = str(SignalSettings.model_fields[key].description).rstrip(".")
    return f"it is: {said[:1].lower()}{said[1:]}"


def _check(settings: SignalSettings, place: Path) -> None:
    """Raise unless what is said fits together."""
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
            "say where they are with --events"
        )
    Classes.of(settings)


@dataclass(frozen=True)
class Classes:
    """The classes of data, and what each is called in them.

    Attributes:
        names: In the order of their labels.
        found: What stands in the data -> index of the class.
        omitted: What is left out.
    """

    names: tuple[str, ...]
    found: Mapping[str, int]
    omitted: frozenset[str]

    @classmethod
    def of(cls, settings: SignalSettings, seen: Sequence[str] = ()) -> Self:
        """The classes that are declared, or else all that were seen, sorted.

        Args:
            settings: The declaration.
            seen: What stands in the data.

        Raises:
            SettingError: If a class is named twice, or there are fewer than two in the data.

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
            names.append(settings.background)  # what happens is the second of two classes
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
    """Numbers by their size and before words."""
    try:
        return (False, float(name), name)
    except ValueError:
        return (True, 0.0, name)
