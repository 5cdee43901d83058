"""The options of the commands that train, made from the settings of a run."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sequela.cli.names import known, tasks
from sequela.config import (
    CohortSettings,
    Options,
    RunOptions,
    SignalSettings,
    TrainingSettings,
    options,
)

FIRST = Group("Most used options", sort_key=0)
RUN = Group("Run", sort_key=1)
"""The headings of options that most people need, and of options on split, seeds and folder."""
_RECORDINGS = "Your own recordings (signals) or table of patients (table)"
_PARTS: dict[str, tuple[Group, type[BaseModel]]] = {
    "run": (RUN, RunOptions),
    "training": (Group("Training", sort_key=2), TrainingSettings),
    "records": (Group("Hospital records", sort_key=3), CohortSettings),
    "signals": (Group(_RECORDINGS, sort_key=4), SignalSettings),
}


def _reader(make: Callable[..., object], options: Mapping[str, object]) -> object:
    """Return a class for cyclopts, with these options, that makes something else of them.

    cyclopts could read the settings themselves, but then pydantic converts their values, which
    takes 1.0 epochs for 1.
    """

    # A default that is passed on would replace that of a study.
    def new(_: type, **values: object) -> object:
        return make(**{name: value for name, value in values.items() if value is not None})

    arguments = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
    for name, kind in options.items():
        keyword = inspect.Parameter.KEYWORD_ONLY
        arguments.append(inspect.Parameter(name, keyword, default=None, annotation=kind))
    new.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    # cyclopts searches the module for docstrings, and takes a class without one as built in.
    return type("Options", (), {"__new__": new, "__init__": new, "__module__": __package__})


def _options(first: Collection[str]) -> object:
    parts = {
        name: Annotated[_part(group, settings, first), Parameter(name="*")]
        for name, (group, settings) in _PARTS.items()
    }
    return Parameter(name="*")(_reader(Options, parts))


def _part(group: Group, settings: type[BaseModel], first: Collection[str]) -> object:
    """Return settings as cyclopts reads them, in the headings of the help.

    Bounds are checked where the settings of a run are made, so that errors of the command line and
    of a ``config.toml`` are the same.
    """
    kinds = {}
    for name, option in options(settings).items():
        setting = settings.model_fields[name]
        parameter = Parameter(
            name=option,
            help=setting.description,
            group=FIRST if name in first else group,
            # Only a setting that is on by default needs a negative option.
            negative=f"--no-{option[2:]}" if setting.default is True else (),
            consume_multiple=setting.annotation == tuple[float, ...],
            show_default=partial(default_of, name, setting),
        )
        kinds[name] = Annotated[setting.annotation | None, parameter]  # type: ignore[operator]
    return _reader(settings.model_construct, kinds)


def default_of(name: str, setting: FieldInfo, _: object = None) -> str | None:
    """Return the default of a setting in words, with other defaults of some models or data sets.

    It is ``None`` where the description of the setting has it, or where there is none.
    """
    if "(default:" in str(setting.description):
        return None
    from sequela.datasets.catalog import DATA_SETS
    from sequela.models.registry import MODELS

    text = _in_words(setting.default)
    for owners, settings in _defaults((*MODELS,), (*DATA_SETS,)).items():
        # Defaults differ by model and data set, so that one of them alone would be wrong.
        further = {getattr(default, name, setting.default) for default in settings}
        if further != {setting.default}:
            words = map(_in_words, sorted(further - {setting.default}))
            text += f"; {', '.join(words)} for some {owners}"
    if name == "task":
        return known(text, tasks)(None)
    return None if text in ("none", "off") else text


@cache
def _defaults(models: Sequence[str], data_sets: Sequence[str]) -> dict[str, list[BaseModel]]:
    from sequela.studies.registry import records_of, training_of

    # Computed once for all options: each needs the settings of every model and data set.
    return {
        "models": [training_of(model, {}) for model in models],
        "data sets": [records_of(data, {}) for data in data_sets],
    }


def _in_words(value: object) -> str:
    text = str(value).strip("()").replace(",", "")
    return {"True": "on", "False": "off", "None": "none", "": "none"}.get(text, text)


if TYPE_CHECKING:
    OptionsOfTrain = Options
    OptionsOfTune = Options
else:
    OptionsOfTrain = _options(first=("task", "folds", "epochs"))
    OptionsOfTune = _options(first=("task",))
