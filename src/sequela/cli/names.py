"""The names that a command accepts, for its help and for its checks.

They are looked up when the help is printed, after plugins are registered.
"""

from collections.abc import Callable, Iterable


def known(default: str, names: Callable[[], Iterable[str]]) -> Callable[[object], str]:
    """Return the help text of an option whose value is a name: its default and all names.

    Args:
        default: The default in words.
        names: Returns all names.
    """
    return lambda _: f"{default}; known: {', '.join(names())}"


def models() -> list[str]:
    """List ``auto``, networks and baseline models; default models name their data."""
    from sequela.models.defaults import AUTO, DEFAULTS
    from sequela.models.reference import REFERENCE_MODELS
    from sequela.models.registry import MODELS

    of = {each.model: f" (default for {each.of})" for each in DEFAULTS.values()}
    return [AUTO, *(name + of.get(name, "") for name in [*MODELS, *REFERENCE_MODELS])]


def data_sets() -> list[str]:
    """List the data sets."""
    from sequela.sources.catalog import DATA_SETS

    return list(DATA_SETS)


def tasks() -> list[str]:
    """List the tasks, with a note on tasks that leak by design."""
    from sequela.cohort.tasks import TASKS

    return [name + " (leaks by design)" * bool(task().leaks) for name, task in TASKS.items()]


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

    return list(dict.fromkeys(data for study in STUDIES.values() for data in study.data))


def one_of(kind: str, names: Callable[[], Iterable[str]]) -> Callable[[object, str | None], None]:
    """Return a check of an argument that runs before the command.

    Args:
        kind: The kind of name, for the error message.
        names: Returns all names.
    """

    def check(_: object, name: str | None) -> None:
        from sequela.errors import unknown_name

        if name is not None and name not in (there := list(names())):
            raise unknown_name(kind, name, there)

    return check
