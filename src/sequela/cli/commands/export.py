"""``sequela export``: a network as one ONNX file, which is used without torch."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sequela.cli.names import TrustCode


def export(
    run: Path,
    /,
    *,
    out: Path,
    root: Path | None = None,
    check: Annotated[bool, Parameter(negative="--no-check")] = True,
    trust_code: TrustCode = False,
) -> None:
    """Write a run's network as one ONNX file, with everything that a prediction needs.

    The file contains the network and its preprocessing. Its metadata contain the classes, units,
    rate, channels, vocabulary, thresholds, calibration, the names and licence of the training data,
    the intended use and the checksums of the run. Use it with `sequela predict`, `scan` and
    `serve`, or with ONNX Runtime alone; torch is not needed. A baseline model has no file: these
    commands read its run folder.

    Before the file is written, its predictions are compared with the run on up to 1,000 examples.
    Probabilities may differ by 0.00001 at most.

    Example: `sequela export runs/gru-improved --out gru.onnx`

    Args:
        run: Run folder.
        out: The file, which ends in .onnx, or in the name of a form that a plugin adds.
        root: Folder or file of the run's data (default: the usual search path).
        check: Compare the file with the run, which needs the data.
    """
    from sequela.files import require_file
    from sequela.serving.served_model import EXPORTERS

    require_file(out, *(f".{name}" for name in EXPORTERS))
    from sequela.serving.export import write_export

    for line in write_export(run, out, root=root, check=check, trust_code=trust_code):
        print(line)
