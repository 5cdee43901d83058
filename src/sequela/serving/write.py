"""Writing of the ONNX file of a run, after a comparison with the run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.errors import RunError
from sequela.files import temporary, whole
from sequela.runs.data import Examples, load_again
from sequela.runs.folder import RunFolder
from sequela.serving.export import exported, names_of_few, run_to_export
from sequela.serving.records import inputs_of
from sequela.serving.served import ServedModel, from_bytes

TOLERANCE = 1e-5
"""Largest difference of two probabilities."""
EXAMPLES = 1000
_AT_ONCE = 100


def write_export(
    path: Path, out: Path, *, root: Path | None = None, check: bool = True
) -> list[str]:
    """Write the ONNX file of a run, and return sentences on the result.

    Args:
        path: The run.
        out: The file, written completely or not at all.
        root: Folder or file of the data (default: the usual search path).
        check: Whether to compare the file with the run on the run's data.
    """
    folder, made, told = run_to_export(path), exported(path), []
    if check:
        with temporary() as work:
            data = load_again(folder, root, work)
            examples, difference = _compare(from_bytes(made, str(out)), folder, data)
        if not difference <= TOLERANCE:
            raise RunError(
                f"{folder.path}: the exported model differs from the run by {difference:.1e} in "
                f"probability: expected at most {TOLERANCE:.0e}; nothing is written"
            )
        told.append(
            f"check on {examples:,} examples of the run: probabilities differ by "
            f"{difference:.1e} at most"
        )
    with whole(out) as partial:
        partial.write_bytes(made)
    told.append(f"{out}: {len(made):,} bytes")
    if said := names_of_few(folder):
        told.append(said)
    return told


def _compare(model: ServedModel, folder: RunFolder, data: Examples) -> tuple[int, float]:
    """Return the number of compared examples and the largest difference of a probability.

    The validation set is left out: after ``--refit`` the run keeps its predictions from before.
    """
    known = folder.predictions
    rows = np.flatnonzero(known.split != "tuning")
    rows = rows[np.linspace(0, len(rows) - 1, min(EXAMPLES, len(rows))).astype(np.int64)]
    pieces = np.split(rows, range(_AT_ONCE, len(rows), _AT_ONCE))
    given = _GIVEN[model.facts.kind]
    said = np.concatenate([model.probabilities(given(model, data.arrays, p)) for p in pieces])
    return len(rows), float(np.abs(said - known.probabilities[rows]).max())


_GIVEN: dict[str, Callable[..., dict[str, NDArray[Any]]]] = {
    "signal": lambda _, segments, rows: {"signal": segments.signal[rows]},
    "records": inputs_of,
}
