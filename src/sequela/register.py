"""Add what is yours: models, data, families of codes, tasks, metrics, features and more.

Each function makes one thing known by its name. From then on it is as if it came with the package:
on the command line, in run folders, in comparisons, on cards and pages. A taken name, a wrong type
or an input that does not exist is refused in one sentence.

Put the calls into a file of your own and name that file in the variable SEQUELA_PLUGINS, or into a
package that names its module as an entry point of the group ``sequela.plugins``: the command line
and the processes that train for it import them first. ``docs/extending.md`` shows each.
"""

from typing import TYPE_CHECKING, Any

from sequela.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from sequela.cohort.tasks import Task
    from sequela.evaluation.metrics import Metric
    from sequela.figures.registry import RunFigure
    from sequela.models.reference import ReferenceModel
    from sequela.sequences.featurisers import Featuriser
    from sequela.sources.catalog import DataSet
    from sequela.sources.codes import Family
    from sequela.studies.study import Study


def model(
    name: str,
    made_by: "str | Callable[..., nn.Module]",
    *,
    reads: tuple[str, ...],
    title: str = "",
    recurrent: bool = False,
) -> None:
    """Add a network.

    Args:
        name: As on the command line.
        made_by: The ``nn.Module``, or where it stands: ``package.module:CLASS``. It takes a config
            (the dataclass ``<CLASS>Config`` of its module), or the sizes of what it reads and
            ``n_outputs`` by keyword, and answers logits (example, n_outputs).
        reads: What its ``forward`` takes, in this order: ``signal``, ``codes``, ``values``,
            ``gaps``, ``static`` or ``features:NAME``.
        title: In tables and pictures; the name by default.
        recurrent: Whether it carries a state from one step to the next: pages warn where most
            examples have one step.

    Raises:
        SettingError: If the name is taken, or no data hold all that it reads.
        UnknownNameError: If it reads what does not exist.
    """
    from sequela.models.registry import ModelEntry, register

    if not (isinstance(made_by, str) or callable(made_by)):
        _refuse("model", made_by, "a class, or the text package.module:CLASS")
    if isinstance(reads, str) or not all(isinstance(each, str) for each in reads):
        _refuse("model's reads", reads, 'a tuple of inputs, such as ("signal",)')
    register(name, ModelEntry(tuple(reads), made_by, title or name, recurrent))


def reference_model(name: str, reference: "ReferenceModel") -> None:
    """Add a reference model, which is fitted on a table of features.

    Args:
        name: As on the command line.
        reference: Its title, what it reads, and how it is fitted and applied.

    Raises:
        SettingError: If the name is taken, or it is something else.
        UnknownNameError: If it reads what does not exist.
    """
    from sequela.models.reference import ReferenceModel
    from sequela.models.registry import register

    _check(reference, ReferenceModel, "reference model")
    register(name, reference)


def data_set(name: str, entry: "DataSet") -> None:
    """Add a data set: recordings (kind ``eeg``) or hospital tables (kind ``ehr``).

    Args:
        name: As on the command line, and of its folder under $SEQUELA_DATA.
        entry: ``reads`` and ``signals`` of recordings, ``source`` of tables, and what is said of
            the data.

    Raises:
        SettingError: If the name is taken, or the entry does not say how the data are read.
    """
    from sequela.sources.catalog import DataSet, register

    _check(entry, DataSet, "data set")
    register(name, entry)


def family(entry: "Family") -> None:
    """Declare a family of codes: when its codes become known.

    Args:
        entry: Its name (what stands before the first ``//`` of a code), and either
            ``charted=True`` (its codes have the time at which they were written down) or
            ``coded_later`` (why they are known only after the discharge of their stay).

    Raises:
        SettingError: If a name is taken, or it is not said when its codes become known.
    """
    from sequela.sources.codes import Family, register

    _check(entry, Family, "family of codes")
    register(entry)


def task(entry: "Task") -> None:
    """Add a task, with its own outcome or one that exists.

    Args:
        entry: What is asked, when, of whom, and the words for what comes true.

    Raises:
        SettingError: If the name is taken.
    """
    from sequela.cohort.tasks import Task, register

    _check(entry, Task, "task")
    register(entry)


def metric(entry: "Metric") -> None:
    """Add a metric; with ``reported=True`` each run's numbers hold it.

    Args:
        entry: Its value, the statistic that a bootstrap resamples, and how it is written.

    Raises:
        SettingError: If the name is taken.
    """
    from sequela.evaluation.metrics import Metric, register

    _check(entry, Metric, "metric")
    register(entry)


def featuriser(entry: "Featuriser") -> None:
    """Add a featuriser, which models read as ``features:NAME``.

    Args:
        entry: Its columns, what it learns from the training part, and its table.

    Raises:
        SettingError: If the name is taken.
    """
    from sequela.sequences.featurisers import Featuriser, register

    _check(entry, Featuriser, "featuriser")
    register(entry)


def figure(entry: "RunFigure") -> None:
    """Add a picture that is drawn of each run on a page.

    Args:
        entry: Its name, its title and how it is drawn from a run.

    Raises:
        SettingError: If the name is taken.
    """
    from sequela.figures.registry import RunFigure, register

    _check(entry, RunFigure, "figure")
    register(entry)


def study(entry: "Study") -> None:
    """Add a study, for ``sequela reproduce NAME``.

    Args:
        entry: Its data or cohorts, models and claims; what it names is registered before it.

    Raises:
        SettingError: If the name is taken, or it runs nothing.
        UnknownNameError: If it names what does not exist.
    """
    from sequela.studies.registry import register
    from sequela.studies.study import Study

    _check(entry, Study, "study")
    register(entry)


def _check(entry: object, kind: type[Any], what: str) -> None:
    if not isinstance(entry, kind):
        _refuse(what, entry, f"a {kind.__module__}.{kind.__name__}")


def _refuse(what: str, found: object, expected: str) -> None:
    raise SettingError(f"the {what} is {found!r}: expected {expected}")
