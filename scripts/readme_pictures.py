"""The README's two pictures, from the folder of a study that ``sequela reproduce`` wrote.

    python scripts/readme_pictures.py reproduction

The page is photographed by Chromium (``chromium`` on the PATH); the figure is drawn from the runs.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from sequela.report.entry import Entry
from sequela.report.sections.inflation import PLANNED, inflations, leak_figure
from sequela.runs.find import find_runs
from sequela.studies.registry import STUDIES
from sequela.studies.results import by_study

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
SIZE = "1280,900"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("study", type=Path)
    study: Path = parser.parse_args().study
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is not on the PATH: it photographs the page")
    PICTURES.mkdir(exist_ok=True)
    page = PICTURES / "page.png"
    subprocess.run(  # noqa: S603 - the browser of this machine on a page of ours
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--hide-scrollbars",
            f"--window-size={SIZE}",
            f"--screenshot={page}",
            (study / "report.html").resolve().as_uri(),
        ],
        check=True,
        capture_output=True,
    )
    runs = {each.name: runs for each, runs in by_study(find_runs([study / "runs"]))}
    entries = [Entry(run, study=STUDIES["seizure"]) for run in runs[STUDIES["seizure"].name]]
    plain = [e for e in entries if not e.leak]
    rows = inflations(PLANNED[0], plain, [e for e in entries if e.leak])
    if not rows:
        sys.exit(f"{study}: no model was run by session and otherwise")
    leak_figure(PLANNED[0], rows).save(PICTURES / "leak.png")
    print(f"written to {PICTURES}")


if __name__ == "__main__":
    main()
