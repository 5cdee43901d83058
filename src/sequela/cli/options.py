"""Options of a command, made from the settings that they change."""

from collections.abc import Callable, Mapping
from dataclasses import field, make_dataclass
from typing import Annotated, Any

from cyclopts import Group, Parameter
from pydantic import BaseModel

from sequela import config


def options(
    settings: Mapping[str, type[BaseModel]],
    defaults: Mapping[str, Callable[[object], str]] | None = None,
) -> type[Any]:
    """A dataclass with an optional field for each setting; ``None`` is what was not given.

    Bounds are checked where the settings are made, so that the command line and a ``config.toml``
    are refused in the same words.

    Args:
        settings: Title of a group of options, and the settings in it.
        defaults: What the help says of a setting that is not given, where its sentence does not.
    """
    fields: list[Any] = []
    for title, model in settings.items():
        group = Group(title)
        for name, (option, found) in config.options(model).items():
            kind: Any = found.annotation
            # What is on by default needs its negative; what is off, none.
            negative = None if found.default is True else ()
            shown = Parameter(
                name=option,
                help=found.description,
                group=group,
                negative=negative,
                show_default=(defaults or {}).get(name),
            )
            fields.append((name, Annotated[kind | None, shown], field(default=None)))
    # By its module, cyclopts tells it from the built-in types.
    made = make_dataclass("Options", fields, frozen=True, namespace={"__module__": __name__})
    return Parameter(name="*")(made)


def given(asked: Any, model: type[BaseModel]) -> dict[str, Any]:
    """The settings of one kind that were given."""
    values = {name: getattr(asked, name) for name in config.options(model)}
    return {name: value for name, value in values.items() if value is not None}
