"""``sequela evaluate``: the numbers of a run again, or on other data."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def evaluate(
    run: Path,
    /,
    *,
    data: str | None = None,
    root: Path | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Recompute a run's numbers from its predictions, or apply its model to other data.

    A run whose parts overlap is refused. Recordings or subjects that the model was trained or tuned
    on are set aside from other data, and counted. Records of another hospital are asked the run's
    question; codes that the model has never seen are unknown to it.

    Example: `sequela evaluate runs/gru-improved --data uci-seizure --root uci.csv`

    Args:
        run: Run folder.
        data: Data set to apply the model to; the run's own held-out (test) part if not given.
        root: Folder or file of the data; by default the usual search path. Without --data, data of
            the run's own data set that lie there.
        json: Print JSON.
    """
    from json import dumps

    from sequela.cli.numbers import open_console, say_numbers
    from sequela.runs.evaluate import evaluate_run
    from sequela.runs.find import open_run

    numbers = evaluate_run(run, data=data, root=root)
    if json:
        print(dumps(numbers, indent=1))
    else:
        say_numbers(open_console(), open_run(run), numbers)
