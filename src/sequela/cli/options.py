"""Options of a command, made from the settings."""

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
    """Make a dataclass with an optional field for each setting; ``None`` means not given.

    Bounds are checked where the settings are made, so that errors of the command line and of a
    ``config.toml`` are the same.

    Args:
        settings: The settings of each group of options, by its title.
        defaults: The help text on the default of a setting, where its description has none.
    """
    fields: list[Any] = []
    for title, model in settings.items():
        group = Group(title)
        for name, (option, found) in config.options(model).items():
            kind: Any = found.annotation
            # A setting that is on by default needs a negative option; others do not.
            negative = None if found.default is True else ()
            shown = Parameter(
                name=option,
                help=found.description,
                group=group,
                negative=negative,
                show_default=(defaults or {}).get(name),
            )
            fields.append((name, Annotated[kind | None, shown], field(default=None)))
    # Its module lets cyclopts distinguish it from built-in types.
    made = make_dataclass("Options", fields, frozen=True, namespace={"__module__": __name__})
    return Parameter(name="*")(made)


def given(asked: Any, model: type[BaseModel]) -> dict[str, Any]:
    """Return the settings of one kind that were given."""
    values = {name: getattr(asked, name) for name in config.options(model)}
    return {name: value for name, value in values.items() if value is not None}
