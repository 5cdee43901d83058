"""Install what `make dist` built, each file in a fresh environment, and run the quick study.

    python scripts/check_release.py dist

Everything happens in a temporary folder, away from the clone, with the data in the package. Ends
with status 1 at the first file that does not install, tells another version, or does not run.
"""

import argparse
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

VERSION = Path(__file__).parents[1] / "src" / "sequela" / "version.py"
LEFT_OUT = ("PYTHONPATH", "SEQUELA_DATA", "SEQUELA_PLUGINS")
PROGRAMS = "Scripts" if os.name == "nt" else "bin"


def expected_version() -> str:
    names: dict[str, str] = {}
    exec(VERSION.read_text(encoding="utf-8"), names)  # noqa: S102 - our own file
    return names["__version__"]


def call(words: list[str], folder: Path) -> str:
    """Run a program in a folder; what it printed."""
    surroundings = {key: value for key, value in os.environ.items() if key not in LEFT_OUT}
    surroundings["SEQUELA_OPENINGS"] = str(folder / "openings.jsonl")
    done = subprocess.run(  # noqa: S603 - programs of the environment that was just made
        words, cwd=folder, env=surroundings, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def check(built: Path, version: str) -> None:
    """Install one file and run the quick study from it."""
    with TemporaryDirectory() as work:
        folder = Path(work)
        venv.create(folder / "environment", with_pip=True)
        programs = folder / "environment" / PROGRAMS
        install = ["-m", "pip", "install", "--quiet", f"{built}[train]"]
        call([str(programs / "python"), *install], folder)
        told = call([str(programs / "sequela"), "--version"], folder).strip()
        if told != version:
            sys.exit(f"{built.name} says it is version {told}; expected {version}")
        call([str(programs / "sequela"), "reproduce", "--quick"], folder)
        out = folder / "reproduction"
        studies = json.loads((out / "results.json").read_text(encoding="utf-8"))["studies"]
        if not (out / "report.html").exists() or not {"seizure", "mortality"} <= set(studies):
            sys.exit(f"{built.name}: the quick study wrote {sorted(studies)} and no page of both")
        call([str(programs / "sequela"), "verify", "reproduction"], folder)
    print(f"{built.name}: installed, version {told}, the quick study ran and was verified")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("dist", type=Path)
    folder: Path = parser.parse_args().dist
    version = expected_version()
    names = (f"sequela-{version}-py3-none-any.whl", f"sequela-{version}.tar.gz")
    for built in (folder.resolve() / name for name in names):
        if not built.exists():
            sys.exit(f"{built} is not there; run make dist first")
        check(built, version)


if __name__ == "__main__":
    main()
