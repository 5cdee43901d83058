"""Finished runs by their folders: one, several in order, or all below a folder."""

from collections.abc import Sequence
from pathlib import Path

from sequela.errors import RunError
from sequela.runs import manifest
from sequela.runs.folder import CONFIG, RunFolder, refuse_links
from sequela.runs.folds import FOLDS, FoldsFolder

Run = RunFolder | FoldsFolder
SIMPLE = manifest.SIMPLE


def open_run(path: Path) -> Run:
    """Open the run of a folder, or the folds."""
    return FoldsFolder(path) if (path / FOLDS).exists() else RunFolder(path)  # written at the end


def paths_of(runs: Sequence[Path | str | Run]) -> list[Path]:
    """Return the folders of runs, or of their paths."""
    return [Path(run) if isinstance(run, str | Path) else run.path for run in runs]


def named_runs(paths: Sequence[Path]) -> list[Run]:
    """Open the runs of these folders, in this order."""
    for path in paths:
        if not is_run(path):
            raise RunError(
                f"{path}: expected a run folder (with a {CONFIG}), or a folder of folds (with a "
                f"{FOLDS})"
            )
    return [_complete(open_run(path)) for path in paths]


def single_run(path: Path) -> RunFolder:
    """Open a finished run of one model."""
    (folder,) = named_runs([path])
    if not isinstance(folder, RunFolder):
        raise RunError(
            f"{path} has {len(folder.runs)} models, one per fold or seed: name one of them, such "
            f"as {folder.first.path.name}, or average those of one split (sequela ensemble)"
        )
    return folder


def find_runs(paths: Sequence[Path], *, check: bool = True) -> list[Run]:
    """Find the runs among paths, or in them; folds count as one run.

    With ``check``, each must be finished, and its files unchanged.
    """
    folders_of_runs: list[Path] = []
    for path in paths:
        inside = [path]
        if not is_run(path):
            # The runs of folds are found with the folds, and not one by one.
            many = {file.parent for file in path.glob(f"**/{FOLDS}")}
            single = {file.parent for file in path.glob(f"**/{CONFIG}")}
            runs = many | {run for run in single if run.parent not in many}
            inside = sorted(p for p in runs if p.name != SIMPLE or not is_run(p.parent))
        if not inside:
            raise RunError(f"{path}: expected a run folder (with a {CONFIG}), or a folder of them")
        folders_of_runs += inside
    folders = [open_run(path) for path in dict.fromkeys(folders_of_runs)]
    if not check:
        return folders
    for folder in map(_complete, folders):
        is_fold = folder.settings.folds and folder.path not in paths
        if is_fold and not (folder.path / FOLDS).exists():
            raise RunError(
                f"{folder.path.parent}: not all folds are finished; continue with --resume"
            )
    return folders


def _complete(folder: Run) -> Run:
    refuse_links(folder.path)
    folder.require_complete()
    return folder


def is_run(path: Path) -> bool:
    """Return ``True`` if a path is the folder of a run, or of folds."""
    return (path / CONFIG).exists() or (path / FOLDS).exists()
