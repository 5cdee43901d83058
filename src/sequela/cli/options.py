"""The options of the commands that train, made from the settings of a run."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import field, make_dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sequela import config
from sequela.cli.names import known, tasks
from sequela.config import CohortSettings, RunSettings, SignalSettings, TrainingSettings

FIRST = Group("Most used options", sort_key=0)
RUN = Group("Run", sort_key=1)
"""The headings of options that most people need, and of options on split, seeds and folder."""


def options(
    settings: Mapping[Group, type[BaseModel]],
    default: Callable[[str, FieldInfo, object], str | None],
    first: tuple[Group, Collection[str]],
) -> type[Any]:
    """Make a dataclass with an optional field for each setting; ``None`` means not given.

    Bounds are checked where the settings are made, so that errors of the command line and of a
    ``config.toml`` are the same.
    """
    fields: list[Any] = []
    for group, model in settings.items():
        for name, (option, found) in config.options(model).items():
            kind: Any = found.annotation
            # Only a setting that is on by default needs a negative option.
            negative = f"--no-{option[2:]}" if found.default is True else ()
            shown = Parameter(
                name=option,
                help=found.description,
                group=first[0] if name in first[1] else group,
                negative=negative,
                consume_multiple=found.annotation == tuple[float, ...],
                show_default=partial(default, name, found),
            )
            fields.append((name, Annotated[kind | None, shown], field(default=None)))
    # Its module lets cyclopts distinguish it from built-in types.
    made = make_dataclass("Options", fields, frozen=True, namespace={"__module__": __name__})
    return Parameter(name="*")(made)


def given(asked: Any) -> dict[str, Any]:
    """Return the settings that were given."""
    return {name: value for name, value in vars(asked).items() if value is not None}


def default_of(name: str, found: FieldInfo, _: object = None) -> str | None:
    """Return the default of a setting in words, with other defaults of some models or data sets.

    It is ``None`` where the description of the setting has it, or where there is none.
    """
    from sequela.datasets.catalog import DATA_SETS
    from sequela.models.registry import MODELS
    from sequela.studies.registry import asked_of, training_of

    if "(default:" in str(found.description):
        return None
    settings: list[Any] = []
    if name in TrainingSettings.model_fields:
        settings = [training_of(each, {}) for each in MODELS]
    elif name in CohortSettings.model_fields:
        settings = [asked_of(each, {}) for each in DATA_SETS]
    others = sorted({getattr(each, name) for each in settings} - {found.default})
    text = _in_words(found.default)
    if others:
        of = "models" if name in TrainingSettings.model_fields else "data sets"
        text += f"; {', '.join(map(_in_words, others))} for some {of}"
    if name == "task":
        return known(text, tasks)(None)
    return None if text in ("none", "off") else text


def _in_words(value: object) -> str:
    text = str(value).strip("()").replace(",", "")
    return {"True": "on", "False": "off", "None": "none", "": "none"}.get(text, text)


if TYPE_CHECKING:
    Asked = Any
    AskedOfSearch = Any
else:
    _SETTINGS = {
        RUN: RunSettings,
        Group("Training", sort_key=2): TrainingSettings,
        Group("Hospital records", sort_key=3): CohortSettings,
        Group(
            "Your own recordings (signals) or table of patients (table)", sort_key=4
        ): SignalSettings,
    }
    Asked = options(_SETTINGS, default_of, first=(FIRST, ("task", "folds", "epochs")))
    AskedOfSearch = options(_SETTINGS, default_of, first=(FIRST, ("task",)))
