"""The options of the commands that train, made from the settings of a run."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, partial
from itertools import pairwise
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
from sequela.datasets.catalog import DATA_SETS, Modality

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

_MOST_USED: dict[str, tuple[str, ...]] = {
    "": ("folds", "epochs", "task"),
    "table": ("folds", "horizons_days", "id", "label", "classes", "omit", "format"),
    "signals": ("folds", "epochs", "subject", "label", "channels", "window", "events"),
    Modality.EEG: ("split", "seed", "segment", "folds", "epochs", "batch_size", "learning_rate"),
    Modality.RECORDS: ("folds", "seed", "epochs", "task", "hours", "horizons_days", "inputs"),
}
"""The options that are used most, next to data, root and out, by kind of data."""


def _reader(make: Callable[..., object], options: Mapping[str, object]) -> type:
    """Return a class for cyclopts, with these options, that makes something else of them.

    cyclopts could read the settings themselves, but then pydantic converts their values, which
    takes 1.0 epochs for 1.
    """

    # A default that is passed on would replace that of a study.
    def new(_: type, **values: object) -> object:
        return make(**{name: value for name, value in values.items() if value is not None})

    new.__signature__ = _signature(options)  # type: ignore[attr-defined]
    # cyclopts searches the module for docstrings, and takes a class without one as built in.
    return type("Options", (), {"__new__": new, "__init__": new, "__module__": __package__})


def _signature(options: Mapping[str, object]) -> inspect.Signature:
    arguments = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
    for name, kind in options.items():
        keyword = inspect.Parameter.KEYWORD_ONLY
        arguments.append(inspect.Parameter(name, keyword, default=None, annotation=kind))
    return inspect.Signature(arguments)


def _parts(first: Collection[str]) -> dict[str, type]:
    return {
        name: _reader(settings.model_construct, _parameters(group, settings, first))
        for name, (group, settings) in _PARTS.items()
    }


def _options(parts: Mapping[str, type]) -> object:
    kinds = {name: Annotated[part, Parameter(name="*")] for name, part in parts.items()}
    return Parameter(name="*")(_reader(Options, kinds))


def lead_with(words: Sequence[str]) -> None:
    """Begin the help of ``sequela train`` with the options of the data that its words name."""
    pairs = pairwise(" ".join(words).replace("=", " ").split())
    entry = DATA_SETS.get(next((name for option, name in pairs if option == "--data"), ""))
    kind = "table" if entry and entry.rows else "signals" if entry and entry.windows else ""
    first = _MOST_USED[kind or (entry.modality if entry else "")]
    for name, part in _TRAIN.items():
        parameters = _parameters(*_PARTS[name], first)
        part.__init__.__signature__ = _signature(parameters)  # type: ignore[misc]


def _parameters(
    group: Group, settings: type[BaseModel], first: Collection[str]
) -> dict[str, object]:
    """Return the options of settings, in the headings of the help.

    Bounds are checked where the settings of a run are made, so that errors of the command line and
    of a ``config.toml`` are the same.
    """
    kinds: dict[str, object] = {}
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
    return kinds


def default_of(name: str, setting: FieldInfo, _: object = None) -> str | None:
    """Return the default of a setting in words, with other defaults of some models or data sets.

    It is ``None`` where the description of the setting has it, or where there is none.
    """
    if "(default:" in str(setting.description):
        return None
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


_TRAIN = _parts(_MOST_USED[""])
if TYPE_CHECKING:
    OptionsOfTrain = Options
    OptionsOfTune = Options
else:
    OptionsOfTrain = _options(_TRAIN)
    OptionsOfTune = _options(_parts(first=("task",)))
