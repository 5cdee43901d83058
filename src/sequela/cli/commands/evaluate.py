"""``sequela evaluate``: evaluation of a run on its test set or on other data."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sequela.cli.names import HideBelow, Json, TrustCode, check_names, data_sets, known
from sequela.files import require_file

_OWN = "the test set of the run"


def evaluate(
    run: Path,
    /,
    *,
    data: Annotated[str | None, Parameter(show_default=known(_OWN, data_sets))] = None,
    root: Path | None = None,
    labels: Path | None = None,
    json: Json = False,
    page: Path | None = None,
    hide_below: HideBelow = None,
    trust_code: TrustCode = False,
) -> None:
    """Evaluate a run on its test set, or apply its model to other data.

    Metrics are computed again from the predictions in the run folder. Each evaluation on the test
    set is logged. In other data, recordings or subjects of the model's training or validation set
    are set aside and counted, even if they have other names. Hospital records get the task of the
    run. Codes outside the model's vocabulary count as unknown, and measurements keep the bins of
    the training set. Nothing is fitted again. A run whose sets overlap is refused.

    With --page, writes a page of the external validation: differences between the populations,
    each metric next to the metric on the run's own test set with the interval of the difference,
    calibration before and after recalibration on half of the new people, and a learning curve over
    the number of new people. For a run that was split by site, --page without --data compares the
    sites of the test set with the sites of the validation set.

    Example: `sequela evaluate runs/gru-improved --data uci-seizure --root uci.csv`

    Args:
        run: Run folder.
        data: Data set to apply the model to.
        root: Folder or file of the data, without --data of other data of the run's data set
            (default: the usual search path).
        labels: MEDS label file of the other data, for a run that took its labels from a file.
        page: Write the page of the external validation to this file.
    """
    check_names(data=data)
    from json import dumps

    from sequela.analysis.evaluate import evaluate_run
    from sequela.cli.numbers import open_console, say_numbers, say_path
    from sequela.runs.find import open_run

    if page is None:
        numbers = evaluate_run(run, data=data, root=root, labels=labels, trust_code=trust_code)
    else:
        from sequela.analysis.external import judge_elsewhere
        from sequela.report.pages.external_page import build_external

        require_file(page, ".html")
        found = judge_elsewhere(run, data=data, root=root, labels=labels, trust_code=trust_code)
        build_external(found, page, hide_below)
        numbers = dict(found.numbers)
    if json:
        print(dumps(numbers, indent=1))
        return
    console = open_console()
    say_numbers(console, open_run(run), numbers)
    if page is not None:
        say_path(console, "page", page.resolve())
