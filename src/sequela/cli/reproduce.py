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
    """Rebuild the 2019 report and set our numbers beside its claims.

    Trains every model, writes run folders, results.json and one page, report.html. Without data of
    yours it uses the excerpts that ship with sequela. An interrupted study goes on where it was.

    Example: `sequela reproduce --quick --out reproduction`

    Args:
        study: Which half of the report; both if not given.
        quick: Train for few epochs, to see that everything works; the numbers are not results.
        out: Folder for the runs, results.json and report.html.
        seed: Seed of the split, the weights and the order of the batches.
        data: Data set of the seizure study.
        root: Where the data of one study lie (for mortality: MIMIC-III), if not where they are
            looked for by themselves.
        processes: How many models train at once, one thread each; one a core if not given.
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
