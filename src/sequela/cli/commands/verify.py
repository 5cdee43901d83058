"""``sequela verify``: verification of the files and numbers of runs."""

from pathlib import Path


def verify(runs: list[Path], /) -> None:
    """Verify runs: their files and their numbers.

    Lists every file that was changed, removed or added since the run was finished. Then computes
    every number again from the predictions, intervals included. No number is printed, so this is
    not logged as an evaluation on the test set.

    The exit status is 2 if anything is wrong. Consistent files do not prove who wrote them: see the
    page on reliability.

    Example: `sequela verify reproduction`

    Args:
        runs: Run folders, or folders that hold run folders.
    """
    from sequela.cli.numbers import open_console

    console = open_console()
    console.print("verifying; a run is printed once all of it is checked")
    from sequela.errors import RunError
    from sequela.evaluation.number import plural
    from sequela.integrity.verify import verify_folder

    wrong = 0
    for path in runs:
        for verified in verify_folder(path):
            wrong += len(verified.wrong)
            for line in verified.agrees:
                console.print(f"{verified.path}: {line}")
            for line in verified.wrong:
                console.print(f"WRONG: {line}")
    # An error at the end gives the exit status 2, which a script or a continuous check can notice.
    if wrong:
        raise RunError(f"{plural(wrong, 'finding')}: the runs are not as they were when finished")
