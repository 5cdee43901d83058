"""The names that a command accepts, for its help and for its checks.

They are looked up when the help is printed, after plugins are registered.
"""

from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from sequela.errors import SettingError, unknown_name

Form = Annotated[list[str] | None, Parameter(name="--format")]
HideBelow = Annotated[
    int | None,
    Parameter(
        help="Hide counts of patients below this number, and whatever reveals them (default: "
        "SEQUELA_HIDE_BELOW; else 10 for share, and other commands hide nothing).",
        env_var=("SEQUELA_HIDE_BELOW", "SEQUELA_SMALLEST_CELL"),
        show_env_var=False,
        validator=Number(gte=1),
    ),
]
"""The option of every command that writes what others may read."""
Json = Annotated[bool, Parameter(help="Print JSON.")]
Root = Annotated[
    Path | None, Parameter(help="Folder or file of the data (default: the usual search path).")
]
TrustCode = Annotated[
    bool, Parameter(help="Allow the import of a model that is a class of a file or module.")
]
Quick = Annotated[
    bool, Parameter(help="Train for few epochs, as a test; the numbers are not results.")
]
StudySeed = Annotated[
    int,
    Parameter(
        help="Seed of the weights, of the order of the batches and, without --split-seed, of the "
        "split."
    ),
]
SplitSeed = Annotated[int | None, Parameter(help="Seed of the split (default: the seed).")]
Processes = Annotated[
    int | None,
    Parameter(
        help="Train this many models at once, each on one thread (default: number of cores)."
    ),
]


def known(default: str, names: Callable[[], Iterable[str]]) -> Callable[[object], str]:
    """Return the help text of an option whose value is a name: its default and all names."""
    return lambda _: f"{default}; known: {', '.join(names())}"


def check_names(model: str | None = None, data: str | None = None) -> None:
    """Raise an error for an unknown model or data set before heavy imports; classes come later."""
    from sequela.datasets.catalog import DATA_SETS, lookup
    from sequela.models.defaults import AUTO

    # The commonest slip: the two arguments of a first `sequela train` in the wrong order.
    if model in DATA_SETS:
        raise SettingError(
            f"{model} is a data set, not a model: name it with --data, as in "
            f"`sequela train {AUTO} --data {model}`"
        )
    if data is not None:
        lookup(data)
    if not (model is None or model == AUTO or ":" in model or Path(model).is_dir()):
        from sequela.models import registry

        registry.lookup(model)


def models() -> list[str]:
    """List ``auto``, networks and baseline models; default models name their data."""
    from sequela.models.defaults import AUTO, DEFAULTS
    from sequela.models.reference import REFERENCE_MODELS
    from sequela.models.registry import MODELS

    notes = {default.model: f" (default for {default.data})" for default in DEFAULTS.values()}
    return [AUTO, *(name + notes.get(name, "") for name in [*MODELS, *REFERENCE_MODELS])]


def data_sets() -> list[str]:
    """List the data sets."""
    from sequela.datasets.catalog import DATA_SETS

    return list(DATA_SETS)


def tasks() -> list[str]:
    """List the tasks, with a note on tasks that leak by design."""
    from sequela.cohort.tasks import TASKS

    return [f"{name} (leaks by design)" if t.leaks else name for name, t in TASKS.items()]


def metrics() -> list[str]:
    """List the metrics that models are compared by."""
    from sequela.evaluation.metrics import compared

    return [metric.name for metric in compared()]


def studies() -> list[str]:
    """List the studies that can be reproduced."""
    from sequela.studies.registry import STUDIES

    return list(STUDIES)


def data_of_studies() -> list[str]:
    """List the data sets of studies with several data sets."""
    from sequela.studies.registry import STUDIES

    return list(dict.fromkeys(chain.from_iterable(study.data for study in STUDIES.values())))


def one_of(kind: str, names: Callable[[], Iterable[str]]) -> Callable[[object, str | None], None]:
    """Return a check of an argument that runs before the command."""

    def check(_: object, name: str | None) -> None:
        if name is not None and name not in (choices := list(names())):
            raise unknown_name(kind, name, choices)

    return check
