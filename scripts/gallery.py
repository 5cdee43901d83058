"""Pages of a few quick runs on the data in the package, for the gallery of the site.

``docs/conf.py`` calls this when the site is built. By hand:

    python scripts/gallery.py FOLDER
"""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from sequela.cli.app import main as sequela

OF_THE_USER = ("SEQUELA_DATA", "SEQUELA_OPENINGS", "SEQUELA_PLUGINS")


@dataclass(frozen=True)
class Page:
    """A page of the gallery.

    Attributes:
        file: Its name.
        title: What it is.
        says: What to look at.
        commands: What makes it, without the word ``sequela``; the last one writes the file.
    """

    file: str
    title: str
    says: str
    commands: tuple[str, ...]


PAGES = (
    Page(
        "eeg.html",
        "Two models on EEG",
        "A small network and a logistic regression on the spectrum, on five classes of one second "
        "of EEG.",
        (
            "train mlp-baseline --data bonn --epochs 6 --out runs/mlp-baseline",
            "train spectral-logistic-regression --data bonn --out runs/spectral",
            "report runs/mlp-baseline runs/spectral --out eeg.html",
        ),
    ),
    Page(
        "records.html",
        "Death in the hospital",
        "Boosting and a logistic regression on codes of the first day in intensive care: the "
        "cohort's flow, ROC curves, probabilities, subgroups.",
        (
            "train boosting --data eicu --task in-hospital --out runs/boosting",
            "train logistic-regression --data eicu --task in-hospital --out runs/logistic",
            "report runs/boosting runs/logistic --out records.html",
        ),
    ),
)


def write(folder: Path) -> None:
    """Train the models, and write the pages into a folder.

    Raises:
        RuntimeError: If a command fails, with what it printed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as work, chdir(work), _nobody():
        for page in PAGES:
            for command in page.commands:
                _run(command)
            (folder / page.file).write_bytes(Path(page.file).read_bytes())


@contextmanager
def _nobody() -> Iterator[None]:
    """The environment of a user without data, plugins and a ledger of openings."""
    kept = {name: os.environ.pop(name) for name in OF_THE_USER if name in os.environ}
    os.environ["SEQUELA_OPENINGS"] = str(Path("openings.jsonl").resolve())
    try:
        yield
    finally:
        del os.environ["SEQUELA_OPENINGS"]
        os.environ.update(kept)


def _run(command: str) -> None:
    said = StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            sequela(shlex.split(command))
    except SystemExit as ended:
        if ended.code:
            raise RuntimeError(f"sequela {command}\n{said.getvalue()}") from None


def listed(folder: str) -> str:
    """The list of the pages in Markdown, with the commands that make each."""
    parts = []
    for page in PAGES:
        lines = "\n".join(f"sequela {command}" for command in page.commands)
        link = f'<a href="{folder}/{page.file}">Open the page</a>'
        parts.append(f"## {page.title}\n\n{page.says} {link}.\n\n```sh\n{lines}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    write(Path(sys.argv[1]).resolve())
