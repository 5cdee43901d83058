"""``sequela evaluate``: the numbers of a run again, or on other data."""

from pathlib import Path


def evaluate(run: Path, /, *, data: str | None = None, root: Path | None = None) -> None:
    """Recompute a run's numbers from its predictions, or apply its model to other data.

    A run whose parts overlap is refused. Recordings or subjects that the model was trained or tuned
    on are set aside from other data, and counted. Records of another hospital are asked the run's
    question; codes that the model has never seen are unknown to it.

    Example: `sequela evaluate runs/gru-improved --data uci-seizure --root uci.csv`

    Args:
        run: Run folder.
        data: Data set to apply the model to; the run's own held_out part if not given.
        root: Folder or file of the data, if not where they are looked for by themselves; without
            --data, data of the run's own data set that lie there.
    """
    import json

    from sequela.runs.evaluate import evaluate_run

    print(json.dumps(evaluate_run(run, data=data, root=root), indent=1))
