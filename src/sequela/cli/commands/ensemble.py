"""``sequela ensemble``: an average of finished runs."""

from pathlib import Path
from typing import Literal


def ensemble(
    runs: list[Path],
    /,
    *,
    out: Path = Path("runs/ensemble"),
    mean: Literal["arithmetic", "geometric"] = "arithmetic",
) -> None:
    """Average the predictions of finished runs into a new run.

    The runs must have the same data, question and split or folds; they may be networks or baseline
    models. One folder of several seeds is averaged over its seeds. The models are copied into the
    new run, so that it can be evaluated, compared and reported after it is moved. Prints the
    numbers of the validation set; the test set is not used.

    Example: `sequela ensemble runs/values-lstm runs/boosting --out runs/ensemble`

    Args:
        runs: Run folders, or folders of cross-validations.
        out: Run folder.
        mean: Mean to use for the probabilities.
    """
    from sequela.analysis.ensemble import make_ensemble
    from sequela.cli.numbers import open_console, say_finished
    from sequela.runs.model import title

    console = open_console()
    run = make_ensemble(runs, out, mean=mean)
    console.print(f"{title(run.settings)}, {mean} mean")
    say_finished(console, run, open_=False)
