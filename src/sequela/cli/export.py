"""``sequela export``: a finished run as one file that needs no torch."""

from pathlib import Path


def export(
    run: Path,
    /,
    *,
    out: Path,
    root: Path | None = None,
    check: bool = True,
) -> None:
    """Write a run's model as one ONNX file, with all that a prediction needs.

    The file holds the network or reference model, its preprocessing, and in its metadata the
    classes, units, rate, channels, vocabulary, thresholds, calibration, the names and licence of
    its training data, its intended use and the checksums of the run. It is used with
    `sequela scan` and `sequela serve`, or with ONNX Runtime alone; torch is not needed.

    Before it is written, the file is asked about 1,000 examples of the run. Its probabilities may
    differ from those of the run by 0.00001 at most.

    Example: `sequela export runs/gru-improved --out gru.onnx`

    Args:
        run: Run folder.
        out: The file.
        root: Folder or file of the run's data (default: the usual search path).
        check: Compare the file with the run. `--no-check` is for where the data are not.
    """
    from rich.console import Console

    from sequela.files import require_file
    from sequela.serving.write import write_export

    require_file(out, ".onnx")
    told = write_export(run, out, root=root, check=check)
    console = Console(soft_wrap=True)
    for line in told:
        console.print(line, markup=False, highlight=False)
