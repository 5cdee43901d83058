"""Install Sequela from a kit, without internet, and write a first page.

    python3 install.py FOLDER

`make kit` copies this file into the kit as `install.py`. It compares all files of the kit with
their SHA-256, makes an environment in the new folder FOLDER, installs the wheels of the kit,
trains a model on the EEG in the kit, and writes its page, `FOLDER/first/page.html`. Only FOLDER is
written.
"""

import argparse
import hashlib
import os
import platform
import subprocess
import sys
import time
import venv
from pathlib import Path

SUMS, MACHINE = "SHA256SUMS", "machine.txt"
PROGRAMS = "Scripts" if os.name == "nt" else "bin"
BLOCK = 1 << 20
CHECK = (
    ("train", "auto", "--data", "bonn", "--out", "first/run"),
    ("report", "first/run", "--out", "first/page.html"),
    ("verify", "first/run"),
)
LEFT_OUT = ("PYTHONPATH", "SEQUELA_DATA", "SEQUELA_PLUGINS")  # the study is of the kit's own data


def machine() -> str:
    """The Python and the platform that wheels are for."""
    python = ".".join(map(str, sys.version_info[:2]))
    return f"Python {python}, {platform.system()} {platform.machine()}"


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def files_of(kit: Path) -> list[Path]:
    """The files of a kit that have a checksum."""
    return sorted(path for path in kit.rglob("*") if path.is_file() and path != kit / SUMS)


def check(kit: Path) -> str:
    """Compare a kit with its checksums; the SHA-256 of these."""
    lines = (kit / SUMS).read_text("utf-8").splitlines()
    expected = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    found = {path.relative_to(kit).as_posix(): path for path in files_of(kit)}
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            sys.exit(f"{name} is missing in the kit; copy the kit again")
        if name not in expected:
            sys.exit(f"{name} is not listed in {SUMS}; remove it, or copy the kit again")
        if sha256(found[name]) != expected[name]:
            sys.exit(f"{name} has another SHA-256 than in {SUMS}; copy the kit again")
    return sha256(kit / SUMS)


def run(*words: str | Path, folder: Path | None = None) -> None:
    """Run a program, which ends this one if it fails."""
    surroundings = {key: value for key, value in os.environ.items() if key not in LEFT_OUT}
    if folder:
        surroundings["SEQUELA_OPENINGS"] = str(folder / "openings.jsonl")
    done = subprocess.run([*map(str, words)], cwd=folder, env=surroundings, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))} ended with status {done.returncode}")


def install(kit: Path, folder: Path) -> Path:
    """Make an environment of the wheels; the folder of its programs."""
    venv.create(folder, with_pip=True)
    programs = folder / PROGRAMS
    options = ("--no-index", "--find-links", kit / "wheels", "--require-hashes", "--no-deps")
    pip = (programs / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, *options, "-r", kit / "requirements.txt")
    return programs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a new folder for the environment")
    parser.add_argument("--no-check", action="store_true", help="install only")
    options = parser.parse_args()
    kit, folder = Path(__file__).resolve().parent, options.folder.resolve()
    begin = time.monotonic()
    if folder.exists():
        sys.exit(f"{folder} is there already; name a new folder")
    wanted = (kit / MACHINE).read_text("utf-8").strip()
    if wanted != machine():
        sys.exit(f"this kit is for {wanted}; this is {machine()}: make a kit on such a machine")
    print(f"{SUMS}: all files are as listed; its own SHA-256 is {check(kit)}", flush=True)
    programs = install(kit, folder)
    print(f"installed in {folder} after {time.monotonic() - begin:.0f} s", flush=True)
    if not options.no_check:
        for words in CHECK:
            run(programs / "sequela", *words, folder=folder)
        page = folder / "first" / "page.html"
        print(f"the first page, after {time.monotonic() - begin:.0f} s: {page}")
    print(f"documentation: {kit / 'docs' / 'index.html'}\nthe command: {programs / 'sequela'}")


if __name__ == "__main__":
    main()
