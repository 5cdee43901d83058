"""``sequela report``, ``card`` and ``share``: what is published of runs."""

from itertools import chain
from pathlib import Path

from sequela.cli.names import HideBelow
from sequela.errors import SettingError
from sequela.files import require_file


def report(
    runs: list[Path], /, *, out: Path = Path("report.html"), hide_below: HideBelow = None
) -> None:
    """Build one HTML page from run folders; the data are not needed.

    Evaluates each run on its test set, which is logged. The same run folders give the same bytes
    until another evaluation on the test set is logged.

    Example: `sequela report runs/mlp-baseline runs/mlp-improved --out report.html`

    Args:
        runs: Run folders, or folders that hold run folders.
        out: File to write the page to.
    """
    from sequela.integrity.openings import openings
    from sequela.report.pages.build import report as report_runs
    from sequela.runs.find import find_runs

    page = report_runs(*runs, out=out, hide_below=hide_below)
    for sentence in dict.fromkeys(chain(*(openings(run).sentences for run in find_runs(runs)))):
        print(sentence)
    print(f"page: {page}")


def card(run: Path, /, *, out: Path = Path("model-card.md"), hide_below: HideBelow = None) -> None:
    """Write the model card of a run in the Hugging Face format, with the TRIPOD+AI checklist.

    The card is filled in from the run folder; the data are not needed. Questions that only a
    person can answer are marked as open. Evaluates the run on its test set, which is logged.

    Example: `sequela card runs/gru-improved --out model-card.md`

    Args:
        run: Run folder, or folder of a cross-validation.
        out: File to write the card to.
    """
    from sequela.report.card import build_card
    from sequela.runs.find import named_runs

    require_file(out, ".md")
    print(f"card: {build_card(named_runs([run])[0], out, hide_below).resolve()}")


def share(
    run: Path,
    /,
    *,
    out: Path | None = None,
    study: Path | None = None,
    model: bool = False,
    root: Path | None = None,
    site: str | None = None,
    hide_below: HideBelow = None,
) -> None:
    """Export the parts of a run that are safe to publish: page, card and numbers.

    A run folder contains data of single people and must not be published. This command writes the
    page, the card, the numbers, the cost and the learning curves to a new folder. Counts below 10
    and names of such groups are hidden, whatever the licence of the data. A file with the id of a
    person in its text, such as the name of a data file, is left out. left-out.txt lists what was
    left out and why. Evaluates the run on its test set, which is logged.

    With --study, writes a package for other hospitals instead: the models, the task and the
    analysis, without data of patients. They evaluate it with `sequela evaluate NAME.zip`.

    Example: `sequela share runs/visits-improved --out to-publish`

    Args:
        run: Run folder, or folder of a cross-validation; with --study, also the folder of a study.
        out: Folder to write; it must not exist.
        study: Package to write; its name, such as ward-mortality.zip, is the name of the study.
        model: Add the weights too, unless their vocabulary has codes of few people (train with
            --min-subjects); weights can still reveal data that they were fitted to.
        root: Folder or file of the training data, which a package reads again (default: where the
            training found them).
        site: Name of the lead site in the package (default: the title of the data).
    """
    if study is not None and out is None:
        if model:
            raise SettingError("--model is for --out: a package has the models anyway")
        from sequela.analysis.package import write_package

        protocol = write_package(run, study, lead=site, root=root, hide_below=hide_below)
        print(f"package: {study.resolve()}")
        print(f"digest: {protocol.digest}")
        return
    if study is not None or out is None:
        raise SettingError("name either a new folder with --out, or a package with --study")
    from sequela.report.share import share as share_run
    from sequela.runs.find import named_runs

    files, left_out = share_run(named_runs([run])[0], out, hide_below=hide_below, model=model)
    for path in files:
        print(path)
    for line in left_out:
        print(f"left out: {line}")
