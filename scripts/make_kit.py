"""Make a folder from which Sequela is installed without internet: see docs/start.md.

    python -m scripts.make_kit dist/sequela-....whl build/docs kit

The wheels are those for the Python and the platform that run this script, from the package index
that pip is configured for. The data excerpts are in Sequela's wheel.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.install_kit import MACHINE, SUMS, files_of, machine, sha256

EXTRAS = "train,excel,explain,export,odbc,postgres,scan,serve"
MOST_MEGABYTES = 700
NOTE = """Sequela, for {machine}, without internet.

    python3 install.py FOLDER

installs it into the new folder FOLDER, trains a model and writes its page. The details are in
docs/docs/start.html; docs/index.html is the first page of the documentation.
"""


def requirements(wheels: Path) -> str:
    """The names, versions and hashes of wheels, as pip reads them."""
    lines = []
    for path in sorted(wheels.glob("*.whl")):
        name, version = path.name.split("-")[:2]
        lines.append(f"{name.replace('_', '-')}=={version} --hash=sha256:{sha256(path)}\n")
    return "".join(lines)


def complete(kit: Path, docs: Path) -> str:
    """Add all but the wheels to a kit; the SHA-256 of its checksums."""
    shutil.copytree(docs, kit / "docs", ignore=shutil.ignore_patterns(".buildinfo", "_sources"))
    shutil.copy(Path(__file__).with_name("install_kit.py"), kit / "install.py")
    (kit / "requirements.txt").write_text(requirements(kit / "wheels"), "utf-8")
    (kit / MACHINE).write_text(f"{machine()}\n", "utf-8")
    (kit / "README.txt").write_text(NOTE.format(machine=machine()), "utf-8")
    sums = (f"{sha256(path)}  {path.relative_to(kit).as_posix()}\n" for path in files_of(kit))
    (kit / SUMS).write_text("".join(sums), "utf-8")
    return sha256(kit / SUMS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("docs", type=Path)
    parser.add_argument("kit", type=Path, help="a new folder")
    parser.add_argument("--extras", default=EXTRAS, help=f"default: {EXTRAS}")
    options = parser.parse_args()
    for path in (options.wheel, options.docs / "index.html"):
        if not path.exists():
            sys.exit(f"{path} is not there; run make kit")
    options.kit.mkdir(parents=True)
    wanted = f"{options.wheel}[{options.extras}]"
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", options.kit / "wheels")
    subprocess.run([*pip, wanted], check=True)  # noqa: S603 (is pip)
    digest = complete(options.kit, options.docs)
    size = sum(path.stat().st_size for path in options.kit.rglob("*") if path.is_file()) / 1e6
    if size > MOST_MEGABYTES:
        sys.exit(
            f"{options.kit} has {size:.0f} MB, expected {MOST_MEGABYTES} at most: is its torch for "
            "a GPU? Configure pip for the index of torch's CPU builds, or leave out --extras"
        )
    print(f"{options.kit}: {size:.0f} MB for {machine()}; the SHA-256 of {SUMS} is {digest}")


if __name__ == "__main__":
    main()
