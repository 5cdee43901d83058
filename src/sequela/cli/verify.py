"""``sequela verify``: are runs as they were finished, and do their numbers hold?"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def verify(
    runs: Annotated[list[Path], Parameter(negative=())], /, *, root: Path | None = None
) -> None:
    """Verify runs: their files, their numbers, and what their models say of the data.

    Names every file that was changed, is missing or was added since the run was finished. Then
    computes every number again from the predictions, intervals included. Where the data of the run
    are found, reads them again, and computes the parts, the findings of the leak audit, the cost
    and all predictions again by the stored model. Says what could not be computed. The held-out
    part is not opened, for no number is printed.

    Ends with status 2 if anything is wrong. Files that agree with each other do not prove who wrote
    them: see the page on reliability.

    Example: `sequela verify reproduction`

    Args:
        runs: Run folders, or folders that hold run folders.
        root: Folder or file of the data of the runs (default: the usual search path).
    """
    from sequela.cli.numbers import open_console
    from sequela.errors import RunError
    from sequela.runs.verified import verify_folder

    console = open_console()
    wrong = 0
    for path in runs:
        for found in verify_folder(path, root):
            wrong += len(found.wrong)
            for line in found.agrees:
                console.print(f"{found.path}: {line}", markup=False)
            for line in found.unknown:
                console.print(f"{found.path}: NOT LOOKED AT: {line}", markup=False)
            for line in found.wrong:
                console.print(f"WRONG: {line}", markup=False)
    if wrong:
        raise RunError(f"{wrong} finding(s): expected runs as they were when they were finished")
