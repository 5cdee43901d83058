"""``sequela evaluate``: the numbers of a run again, or on other data."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sequela.cli.names import data_sets, known
from sequela.files import require_file

_OWN = "the held-out (test) part of the run"


def evaluate(
    run: Path,
    /,
    *,
    data: Annotated[str | None, Parameter(show_default=known(_OWN, data_sets))] = None,
    root: Path | None = None,
    labels: Path | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
    page: Path | None = None,
    smallest_cell: int | None = None,
    trust_code: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Recompute the metrics of a run, or apply its model to other data.

    Metrics are recomputed from the predictions that the run folder holds. This opens the held-out
    (test) part, which is counted. In other data, recordings or subjects that the model was trained
    or tuned on are set aside and counted, whatever their names are. Hospital records get the task
    of the run; codes that are not in the model's vocabulary count as unknown, and measurements are
    split where the training part split them. Nothing is fitted again. A run whose parts overlap is
    refused.

    With --page the external validation is a page of its own: who differs, each number beside that
    of the run's own held-out part with the interval of the difference, calibration, what
    recalibration on half of the new people gives the other half, and a learning curve over how many
    of them are learnt from. Of a run that was split by site, --page without --data sets the
    held-out sites beside the tuning sites.

    Example: `sequela evaluate runs/gru-improved --data uci-seizure --root uci.csv`

    Args:
        run: Run folder.
        data: Data set to apply the model to.
        root: Folder or file of the data (default: the usual search path). Without --data, it holds
            other data of the run's data set.
        labels: MEDS label file of the other data, for a run that took its labels from a file.
        json: Print JSON.
        page: Write the page of the external validation to this file.
        smallest_cell: Hide counts of people below this number, and the names of such groups
            (default: SEQUELA_SMALLEST_CELL, else 10).
        trust_code: Let the run's model be code, a class of a file or module: it is imported.
    """
    from json import dumps

    from sequela.cli.numbers import open_console, say_numbers, say_path
    from sequela.config import ReleaseSettings
    from sequela.evaluation.disclosure import as_json
    from sequela.runs.evaluate import evaluate_run
    from sequela.runs.find import open_run

    smallest = ReleaseSettings.asked(smallest_cell).smallest_cell
    if page is None:
        numbers = evaluate_run(
            run, data=data, root=root, labels=labels, smallest=smallest, trust_code=trust_code
        )
    else:
        from sequela.report.external_page import build_external
        from sequela.runs.external import judge_elsewhere
        from sequela.runs.released import released_numbers

        require_file(page, ".html")
        found = judge_elsewhere(run, data=data, root=root, labels=labels, trust_code=trust_code)
        build_external(found, page, smallest)
        numbers = released_numbers(found.numbers, found.data, smallest)
    if json:
        print(dumps(as_json(numbers), indent=1))
        return
    console = open_console()
    say_numbers(console, open_run(run), numbers)
    if page is not None:
        say_path(console, "page", page.resolve())
