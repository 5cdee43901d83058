"""``sequela verify``: verification of the files and numbers of runs."""

from pathlib import Path


def verify(runs: list[Path], /) -> None:
    """Verify runs, or the releases of sites: their files and their numbers.

    Lists every file that was changed, removed or added since the run was finished. Then computes
    every number again from the predictions, intervals included. No number is printed, so this is
    not logged as an evaluation on the test set.

    Of the release of a site, the seal and the sums are verified, the page is built again, and the
    results are computed again where the site's predictions are next to it.

    The exit status is 2 if anything is wrong. Consistent files do not prove who wrote them: see the
    page on reliability.

    Example: `sequela verify reproduction`

    Args:
        runs: Run folders, folders that hold run folders, or folders release of sites.
    """
    from sequela.cli.numbers import open_console

    console = open_console()
    console.print("verifying; a run or release is printed once all of it is checked")
    from sequela.errors import RunError
    from sequela.evaluation.number import plural
    from sequela.integrity.verify import Verification, verify_folder

    wrong = 0
    for path in runs:
        release = path if (path / "release.json").is_file() else path / "release"
        if (release / "release.json").is_file():
            from sequela.report.pages.site_page import verify_release

            try:
                verifications = iter([Verification(release, tuple(verify_release(release)), ())])
            except RunError as error:
                verifications = iter([Verification(release, (), (str(error),))])
        else:
            verifications = verify_folder(path)
        for verified in verifications:
            wrong += len(verified.wrong)
            for line in verified.agrees:
                console.print(f"{verified.path}: {line}")
            for line in verified.wrong:
                console.print(f"WRONG: {line}")
    # An error at the end gives the exit status 2, which a script or a continuous check can notice.
    if wrong:
        raise RunError(f"{plural(wrong, 'finding')}: not everything is as it was when finished")
