"""Verification of a finished run: its files and its numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sequela.errors import SequelaError
from sequela.integrity.verify import verify
from sequela.runs.find import Run, find_runs
from sequela.runs.manifest import MANIFEST, changes


@dataclass(frozen=True)
class Verified:
    """Sentences on what agrees in a run, and on what is wrong."""

    path: Path
    agrees: tuple[str, ...]
    wrong: tuple[str, ...]


def verify_folder(path: Path) -> Iterator[Verified]:
    """Verify a run, or the runs in a folder, one after the other; see :func:`verify_run`.

    A folder of runs with its own manifest, such as a study, is compared with it too.
    """
    runs = find_runs([path], check=False)
    if (path / MANIFEST).exists() and runs[0].path != path:
        inside = tuple(each.path for each in runs)
        wrong = [
            str(change)
            for change in changes(path)
            if not any(change.path.is_relative_to(run) for run in inside)
        ]
        agrees = () if wrong else (f"all files next to the runs match {MANIFEST}",)
        yield Verified(path, agrees, tuple(wrong))
    for run in runs:
        yield verify_run(run)


def verify_run(run: Run) -> Verified:
    """Compare each file with the manifest, then each number, intervals included, with predictions.

    The second step is skipped if the first one found a difference.
    """
    agrees: list[str] = []
    wrong: list[str] = []
    try:
        wrong += map(str, changes(run.path))
        if not wrong:
            agrees.append(f"all files match {MANIFEST}")
            verify(run, intervals=True)
            agrees.append("all numbers match the predictions")
    except SequelaError as error:
        wrong.append(str(error))
    return Verified(run.path, tuple(agrees), tuple(wrong))
