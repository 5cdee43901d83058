"""Writing of the ONNX file of a run, after a comparison with the run."""

from pathlib import Path

from sequela.files import whole
from sequela.runs.model import trained
from sequela.serving.export import graph, names_of_few, run_to_export, with_metadata
from sequela.serving.parity import require_same
from sequela.serving.served import from_bytes


def write_export(
    path: Path, out: Path, *, root: Path | None = None, check: bool = True
) -> list[str]:
    """Write the ONNX file of a run.

    Args:
        path: The run.
        out: The file, written completely or not at all.
        root: Folder or file of the data (default: the usual search path).
        check: Whether to compare the file with the run on the run's data.

    Returns:
        Sentences on the result.

    Raises:
        ModelError: If the model has no translation.
        SequelaError: If the run is not finished, the file differs from it, or the data cannot be
            found.
    """
    folder = run_to_export(path)
    model = trained(folder)
    made = with_metadata(graph(model), folder, model)
    told = []
    if check:
        same = require_same(from_bytes(made, str(out)), folder, root)
        told.append(
            f"check on {same.examples:,} examples of the run: probabilities differ by "
            f"{same.difference:.1e} at most"
        )
    with whole(out) as partial:
        partial.write_bytes(made)
    told.append(f"{out}: {len(made):,} bytes")
    if said := names_of_few(folder):
        told.append(said)
    return told
