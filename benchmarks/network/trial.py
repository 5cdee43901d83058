"""A network study on open data: lead sites train, every site evaluates, and the results are pooled.

    python -m benchmarks.network.sites physionet2012 ~/data/physionet2012 sites/physionet2012
    python -m benchmarks.network.trial physionet2012 sites/physionet2012 network/physionet2012

Each site runs ``sequela evaluate`` as a process of its own, in a folder of its own, from the zip
and its own tables. OUT gets the packages, the sites and, in OUT/network, the page of all of them.
"""

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Trial:
    """The model of a trial, how it is trained, and the sites that train it."""

    model: str
    options: str
    leads: tuple[str, ...]


TRIALS = {
    "physionet2012": Trial(
        "summaries-logistic-regression", "", ("medical-a", "surgical-a", "coronary-care-b")
    ),
    # Of some 30 deaths at a site, ten must be in the test set.
    "eicu": Trial(
        "apache-iva",
        "--from-icu --inputs APACHE_PREDICTION --fractions 0.45 0.15 0.4",
        ("midwest", "south", "west"),
    ),
}


def sequela(*arguments: str | Path, at: Path) -> None:
    """Run a command in a folder; one that is refused ends the trial with its line."""
    at.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "sequela", *map(str, arguments)], cwd=at, check=True)  # noqa: S603


def run(data: str, sites: Path, out: Path) -> None:
    """Run the trial of a data set."""
    trial = TRIALS[data]
    for lead in trial.leads:
        place = out / lead
        own = ("--data", data, "--root", sites / lead, "--task", "in-hospital")
        options = (*trial.options.split(), "--min-subjects", "10")
        sequela("train", trial.model, *own, *options, "--out", place / "run", at=place)
        package = place / "mortality.zip"
        sequela("share", place / "run", "--study", package, "--site", lead, at=place)
        for site in sorted(set(sites.iterdir()) - {sites / lead}):
            theirs = ("--data", data, "--root", site, "--site", site.name)
            at = place / "sites" / site.name
            sequela("evaluate", package, *theirs, "--out", at / "site", at=at)
        sequela(
            "combine", *place.glob("sites/*/site/release"), "--out", place / "network", at=place
        )
    releases = sorted(out.glob("*/sites/*/site/release"))
    sequela("verify", *releases, at=out)
    sequela("combine", *releases, "--models", "--out", out / "network", at=out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", choices=sorted(TRIALS))
    parser.add_argument("sites", type=Path, help="folder of the sites")
    parser.add_argument("out", type=Path, help="folder to write, which must not exist")
    choices = parser.parse_args()
    run(choices.data, choices.sites.resolve(), choices.out.resolve())
