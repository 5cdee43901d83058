"""A run folder may come from a stranger: what it names stays inside it, and none of it is code."""

import re
from pathlib import Path

from sequela.errors import RunError

_RUN = re.compile(r"(fold-\d+|seed-\d+|fold-\d+\.seed-\d+)")


def folder_of_run(path: Path, name: object) -> Path:
    """The folder of one of several runs, by the name that a file of theirs gives it.

    Args:
        path: The folder that holds them.
        name: Such as ``fold-00.seed-01``.

    Raises:
        RunError: If it is another name, which might lead elsewhere.
    """
    if not isinstance(name, str) or not _RUN.fullmatch(name):
        raise RunError(
            f"{path}: names a run {str(name)[:50]!r} that is none of its folders: expected names "
            "such as fold-00 or seed-00; do not trust this folder"
        )
    return path / name


def refuse_links(path: Path) -> None:
    """Make sure that nothing in a run folder is a link: what is read and written stays in it.

    The folder itself may be reached by one.

    Raises:
        RunError: If something is.
    """
    for each in path.rglob("*"):
        if each.is_symlink():
            raise RunError(
                f"{each}: is a link, and a run folder must hold what it consists of: put the file "
                "itself there, or do not trust this folder"
            )


def refuse_code(where: Path, model: str, *, trusted: bool) -> None:
    """Make sure that a model which a run names is no code, or that its user lets it run.

    Args:
        where: What names it.
        model: A registered name, or a class: ``FILE.py:CLASS`` or ``package.module:CLASS``.
        trusted: Whether the user said so.

    Raises:
        RunError: If it is a class, and the user did not.
    """
    if ":" in model and not trusted:
        raise RunError(
            f"{where}: its model is the class {model}, which is code that would be run: look at "
            "it, and if you trust it and the run, add --trust-code"
        )
