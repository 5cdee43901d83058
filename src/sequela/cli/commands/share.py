"""``sequela share``: export of the publishable parts of a run."""

from pathlib import Path

from sequela.cli.names import HideBelow


def share(run: Path, /, *, out: Path, model: bool = False, hide_below: HideBelow = None) -> None:
    """Export the parts of a run that are safe to publish: page, card and numbers.

    A run folder contains data of single people and must not be published. This command writes the
    page, the card, the numbers, the cost and the learning curves to a new folder. Counts below 10
    and names of such groups are hidden, whatever the licence of the data. A file with the id of a
    person in its text, such as the name of a data file, is left out. left-out.txt lists what was
    left out and why. Evaluates the run on its test set, which is logged.

    Example: `sequela share runs/visits-improved --out to-publish`

    Args:
        run: Run folder, or folder of a cross-validation.
        out: Folder to write; it must not exist.
        model: Add the weights too, unless their vocabulary has codes of few people (train with
            --min-subjects); weights can still reveal data that they were fitted to.
    """
    from sequela.report.share import share as share_run
    from sequela.runs.find import named_runs

    files, left_out = share_run(named_runs([run])[0], out, hide_below=hide_below, model=model)
    for path in files:
        print(path)
    for line in left_out:
        print(f"left out: {line}")
