"""``FILE.onnx`` of a run: made, compared with the run, and only then written."""

from pathlib import Path

from sequela.errors import SettingError
from sequela.files import temporary, whole
from sequela.runs.data import load_again
from sequela.runs.model import trained
from sequela.serving.export import graph, run_to_export, with_metadata
from sequela.serving.int8 import quantised
from sequela.serving.parity import compare, require_same
from sequela.serving.served import from_bytes


def write_export(
    path: Path, out: Path, *, root: Path | None = None, int8: bool = False, check: bool = True
) -> list[str]:
    """Write the ONNX file of a run.

    Args:
        path: The run.
        out: The file; it appears whole or not at all.
        root: Where the run's data lie; the usual search path by default.
        int8: Whether weights are stored in 8 bits.
        check: Whether the file is compared with the run on the run's data.

    Returns:
        What was found, in sentences.

    Raises:
        SettingError: If ``int8`` is asked for without the check that tells its loss.
        ModelError: If the model has no translation.
        SequelaError: If the run is not finished, the file differs from it, or the data cannot be
            found.
    """
    if int8 and not check:
        raise SettingError(
            "--int8 tells its loss of accuracy on the run's data: leave --no-check out"
        )
    folder = run_to_export(path)
    model = trained(folder)
    made = with_metadata(graph(model), folder, model)
    told = []
    if check:
        same = require_same(from_bytes(made, str(out)), folder, root)
        told.append(
            f"{same.examples:,} examples of the run: the file's probabilities differ from those of "
            f"the run by {same.difference:.1e} at most"
        )
    if int8:
        small = with_metadata(quantised(graph(model)), folder, model)
        with temporary() as work:
            found = compare(
                from_bytes(small, str(out)), folder, load_again(folder, root, work), "tuning"
            )
        before, after = found.accuracy
        told.append(
            f"8 bits: {len(made):,} bytes become {len(small):,}; accuracy on "
            f"{found.examples:,} tuning examples {before:.4f} becomes {after:.4f} "
            f"({after - before:+.4f}); the greatest difference of a probability is "
            f"{found.difference:.1e}"
        )
        made = small
    with whole(out) as partial:
        partial.write_bytes(made)
    return [*told, f"{out}: {len(made):,} bytes"]
