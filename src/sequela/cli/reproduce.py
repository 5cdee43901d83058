"""``sequela reproduce``: the whole report, one page."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def reproduce(
    study: Literal["seizure", "mortality"] | None = None,
    /,
    *,
    quick: Annotated[bool, Parameter(negative=())] = False,
    out: Path = Path("reproduction"),
    seed: int = 0,
    data: Literal["bonn", "uci-seizure"] = "bonn",
    root: Path | None = None,
    processes: int | None = None,
) -> None:
    """Reproduce the 2019 report, and test its claims.

    Trains every model and writes the run folders, results.json and one page, report.html. Uses the
    data excerpts that ship with sequela unless --root or SEQUELA_DATA names other data. Run the
    same command again to continue an interrupted study.

    Example: `sequela reproduce --quick --out reproduction`

    Args:
        study: The study to reproduce (default: both).
        quick: Train for few epochs, to see that everything works; the numbers are not results.
        out: Folder to write the runs, results.json and report.html to.
        seed: Seed of the split, the weights and the order of the batches.
        data: Data set of the seizure study.
        root: Folder or file of the data of one study; for mortality, of MIMIC-III (default: the
            usual search path).
        processes: Train this many models at once, each on one thread (default: one for each core).
    """
    from sequela.cli.numbers import open_console, say_path
    from sequela.cli.progress import StudyProgress
    from sequela.cli.study import say_studies
    from sequela.report.build import build
    from sequela.studies.reproduce import reproduce as reproduce_studies

    console = open_console()
    with StudyProgress(console) as progress:
        folders = reproduce_studies(
            out,
            studies=(study,) if study else ("seizure", "mortality"),
            data=data,
            root=root,
            seed=seed,
            quick=quick,
            processes=processes,
            on_run=progress.run,
            on_look=progress.look,
        )
    page = build(folders, out / "report.html")
    say_studies(console, folders)
    say_path(console, "numbers", out / "results.json")
    say_path(console, "page", page.resolve())
