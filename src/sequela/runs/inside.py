"""Checks of run folders from strangers: no path leads out of them, and no code is run."""

import re
from pathlib import Path

from sequela.errors import RunError

_RUN = re.compile(r"(fold-\d+|seed-\d+|fold-\d+\.seed-\d+)")


def folder_of_run(path: Path, name: object) -> Path:
    """Return the folder of one of several runs, by its name in a file of the folder."""
    if not isinstance(name, str) or not _RUN.fullmatch(name):
        raise RunError(
            f"{path}: names a run {str(name)[:50]!r}, which cannot be one of its folders: expected "
            "names such as fold-00 or seed-00; do not trust this folder"
        )
    return path / name


def refuse_links(path: Path) -> None:
    """Make sure that nothing in a run folder is a link, so that nothing outside is accessed.

    The folder itself may be a link.
    """
    for each in path.rglob("*"):
        if each.is_symlink():
            raise RunError(
                f"{each}: is a link, and a run folder must contain files only: put the file itself "
                "there, or do not trust this folder"
            )


def refuse_code(where: Path, model: str, *, trusted: bool) -> None:
    """Make sure that the model of a run is not code, unless the user trusts it."""
    if ":" in model and not trusted:
        raise RunError(
            f"{where}: its model is the class {model}, which would run code: review it, and if "
            "you trust it and the run, add --trust-code"
        )
