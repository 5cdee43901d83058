"""Custom models, data sets, code families, tasks, metrics and more, registered by name.

Each function registers one thing by its name. From then on it works as if it came with the package:
on the command line, in run folders, in comparisons, on cards and pages. A taken name or a wrong
type is a SettingError, an unknown input an UnknownNameError, in one sentence.

Put the calls into a file and name that file in the variable SEQUELA_PLUGINS, or into a package that
names its module as an entry point of the group ``sequela.plugins``: the command line and its
training processes import them first. ``docs/contributing/extending.md`` shows each.
"""

from typing import TYPE_CHECKING

from sequela.errors import SettingError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

    from sequela.audit.finding import Found, Severity
    from sequela.audit.input import AuditInput
    from sequela.cohort.tasks import Task
    from sequela.datasets.catalog import DataSet
    from sequela.datasets.codes import Family
    from sequela.evaluation.metrics import Metric
    from sequela.figures.registry import RunFigure
    from sequela.models.reference import ReferenceModel
    from sequela.report.entry import Entry
    from sequela.report.sections.part import StudyPart
    from sequela.runs.model import TrainedModel
    from sequela.sequences.featurisers import Featuriser
    from sequela.serving.model_facts import ModelFacts
    from sequela.serving.served_model import ServedModel
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
        name: Name on the command line.
        made_by: The ``nn.Module``, or its place: ``package.module:CLASS``. It takes a config (the
            dataclass ``<CLASS>Config`` of its module), or the sizes of its inputs and ``n_outputs``
            by keyword, and returns logits (example, n_outputs).
        reads: The arguments of its ``forward``, in this order: ``signal``, ``codes``, ``values``,
            ``gaps``, ``static`` or ``features:NAME``.
        title: Title in tables and pictures; the name by default.
        recurrent: Whether it carries a state from one step to the next: pages warn where most
            examples have one step.
    """
    # Imports are within the functions, so that a plugin with a metric does not load torch.
    from sequela.models.registry import MODELS, ModelEntry

    if not (isinstance(made_by, str) or callable(made_by)):
        _refuse("model", made_by, "a class, or the text package.module:CLASS")
    # A text is a sequence of texts too: "signal" would count as six inputs.
    if isinstance(reads, str) or not all(isinstance(read, str) for read in reads):
        _refuse("model's reads", reads, 'a tuple of inputs, such as ("signal",)')
    MODELS.add(ModelEntry(tuple(reads), made_by, title or name, recurrent), name)


def reference_model(name: str, reference: "ReferenceModel") -> None:
    """Add a baseline model, which is fitted on a table of features.

    Args:
        name: Name on the command line.
        reference: Its title, its inputs, and the functions that fit and apply it.
    """
    from sequela.models.registry import add_reference_model

    add_reference_model(reference, name)


def data_set(name: str, entry: "DataSet") -> None:
    """Add a data set: recordings (kind ``eeg``) or hospital tables (kind ``ehr``).

    Args:
        name: Name on the command line, and of its folder under $SEQUELA_DATA.
        entry: ``reads`` and ``signals`` of recordings, ``source`` of tables, and the description of
            the data.
    """
    from sequela.datasets.catalog import DATA_SETS

    DATA_SETS.add(entry, name)


def family(entry: "Family") -> None:
    """Declare a family of codes, and the time its codes become known.

    Args:
        entry: Its name (the part of a code before the first ``//``), and either ``charted=True``
            (its codes have the time at which they were written down) or ``coded_later`` (the reason
            they are known only after the discharge of their stay).
    """
    from sequela.datasets.codes import register

    register(entry)


def task(entry: "Task") -> None:
    """Add a task, with its own outcome or an existing one.

    Args:
        entry: The trigger, prediction time, inputs, population, and outcome.
    """
    from sequela.cohort.tasks import TASKS

    TASKS.add(entry)


def metric(entry: "Metric") -> None:
    """Add a metric; with ``reported=True`` each run's numbers hold it.

    Args:
        entry: Its value, its statistic for the bootstrap, and its formats.
    """
    from sequela.evaluation.metrics import METRICS

    METRICS.add(entry)


def featuriser(entry: "Featuriser") -> None:
    """Add a featuriser, which models read as ``features:NAME``.

    Args:
        entry: Its columns, its function that learns from the training set, and its table.
    """
    from sequela.sequences.featurisers import FEATURISERS

    FEATURISERS.add(entry)


def check(
    code: str,
    name: str,
    find: "Callable[[AuditInput], Iterable[Found]]",
    *,
    what: str,
    remedy: str,
    severity: "Severity" = "suspicion",
    needs: tuple[str, ...] = (),
) -> None:
    """Add a check of the leak audit, for runs and for the data of others.

    Args:
        code: Its code: capital letters and three digits, such as ``LAB001``.
        name: The ``check`` of its findings.
        find: The function that looks for the leak in an input, and yields findings.
        what: The sentence on the problem; ``{found} of {all} rows`` has the counts of a finding.
        remedy: The sentence on what to do.
        severity: ``leak`` if a finding is certain, else ``suspicion``.
        needs: What the function reads, such as ``signals`` or ``columns``: keys of
            ``sequela.audit.input.NEEDS``. Other inputs are not searched.
    """
    from sequela.audit.finding import CHECKS, LeakCheck
    from sequela.audit.input import NEEDS
    from sequela.audit.searches import SEARCHES, LeakSearch

    for need in needs:
        if need not in NEEDS:
            raise unknown_name("need of a check", need, NEEDS)
    CHECKS.add(LeakCheck(code, name, what, remedy, severity), code)
    SEARCHES.add(LeakSearch(name, find, needs, (code,)), code)


def exporter(
    name: str,
    write: "Callable[[TrainedModel, ModelFacts], bytes]",
    read: "Callable[[bytes, str, int], ServedModel]",
) -> None:
    """Add a form of exported networks, for ``sequela export RUN --out FILE.NAME``.

    Args:
        name: The ending of its files.
        write: Returns the bytes of a file, from the model of a run and its metadata.
        read: Returns the model in a file, from its bytes, its name and the number of threads, to
            compare it with the run, and for ``sequela predict``, ``scan`` and ``serve``.
    """
    from sequela.serving.served_model import EXPORTERS, Exporter

    EXPORTERS.add(Exporter(name, write, read))


def figure(entry: "RunFigure") -> None:
    """Add a picture of each run to the page.

    Args:
        entry: Its name, its title and the function that draws it from a run.
    """
    from sequela.figures.registry import RUN_FIGURES

    RUN_FIGURES.add(entry)


def section(name: str, title: str, show: "Callable[[StudyPart], object]") -> None:
    """Add a section to the details of each study on a page.

    Args:
        name: StudyPart of its id on the page.
        title: Its heading.
        show: Returns a text or Markup from the runs on the page; nothing where it is left out.
    """
    from sequela.report.sections.section import SECTIONS, Section

    SECTIONS.add(Section(name, show, title))


def card_item(name: str, title: str, show: "Callable[[Entry], object]") -> None:
    """Add an item to the model card.

    Args:
        name: Its name.
        title: Its heading.
        show: Returns a text or Markdown as Markup from the run; nothing where it is left out.
    """
    from sequela.report.sections.section import CARD_ITEMS, Section

    CARD_ITEMS.add(Section(name, show, title, "card/item.md.j2"))


def study(entry: "Study") -> None:
    """Add a study, for ``sequela reproduce NAME``.

    Args:
        entry: Its data or cohorts, models and claims; the things it names must be registered
            before.
    """
    from sequela.studies.registry import STUDIES

    STUDIES.add(entry)


def command(name: str, place: str, summary: str) -> None:
    """Add a command, for ``sequela NAME``.

    Args:
        name: Name on the command line.
        place: Its function, or its cyclopts app: ``package.module:NAME``, imported when it is
            called. Parameters are arguments and options, and its docstring is the help.
        summary: The first sentence of that help, for the list of commands.
    """
    from sequela.plugins import COMMANDS, Command

    COMMANDS.add(Command(name, place, summary))


def _refuse(what: str, value: object, expected: str) -> None:
    raise SettingError(f"the {what} is {value!r}: expected {expected}")
