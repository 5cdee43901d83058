"""The names that a command takes, as its help lists them and as errors check them.

They are asked for when the help is: what is registered is known then.
"""

from collections.abc import Callable, Iterable


def known(default: str, names: Callable[[], Iterable[str]]) -> Callable[[object], str]:
    """What the help says of an option whose value is a name: what stands for it, and all names.

    Args:
        default: What happens where none is given.
        names: Those that there are.
    """
    return lambda _: f"{default}; known: {', '.join(names())}"


def models() -> list[str]:
    """``auto``, networks, then reference models; defaults say of which data."""
    from sequela.models.defaults import AUTO, DEFAULTS
    from sequela.models.reference import REFERENCE_MODELS
    from sequela.models.registry import MODELS

    of = {each.model: f" (default for {each.of})" for each in DEFAULTS.values()}
    return [AUTO, *(name + of.get(name, "") for name in [*MODELS, *REFERENCE_MODELS])]


def data_sets() -> list[str]:
    """Recordings and hospital tables."""
    from sequela.sources.catalog import DATA_SETS

    return list(DATA_SETS)


def tasks() -> list[str]:
    """Those that leak by design say so."""
    from sequela.cohort.tasks import TASKS

    return [name + " (leaks by design)" * bool(task().leaks) for name, task in TASKS.items()]


def metrics() -> list[str]:
    """Those that models are compared by."""
    from sequela.evaluation.metrics import compared

    return [metric.name for metric in compared()]


def studies() -> list[str]:
    """Those that can be reproduced."""
    from sequela.studies.registry import STUDIES

    return list(STUDIES)


def data_of_studies() -> list[str]:
    """Data sets of studies that let one be chosen."""
    from sequela.studies.registry import STUDIES

    return list(dict.fromkeys(data for study in STUDIES.values() for data in study.data))


def one_of(kind: str, names: Callable[[], Iterable[str]]) -> Callable[[object, str | None], None]:
    """A check of an argument before the command runs.

    Args:
        kind: What an error calls it.
        names: Those that there are.
    """

    def check(_: object, name: str | None) -> None:
        from sequela.errors import unknown_name

        if name is not None and name not in (there := list(names())):
            raise unknown_name(kind, name, there)

    return check
