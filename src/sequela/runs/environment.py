"""The environment of a run: software, commit and machine."""

import os
import platform
import shutil
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sequela.version import __version__

_LIBRARIES = ("torch", "numpy", "scikit-learn", "accelerate")


def environment() -> dict[str, str | int | None]:
    """Return the software and machine of a run."""
    facts: dict[str, str | int | None] = {
        "sequela": __version__,
        "commit": commit_of(Path(__file__)),
        "python": platform.python_version(),
        **{name: _version(name) for name in _LIBRARIES},
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "torch_threads": 1,
    }
    return {name: fact for name, fact in facts.items() if fact != ""}  # what is not installed


def _version(library: str) -> str:
    """Return the version of a library; empty for one of an extra that is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


@cache
def commit_of(file: Path) -> str:
    """Return the commit of a tracked file, marked if anything was changed since, or nothing."""
    program = shutil.which("git")
    if program is None:
        return ""

    def git_output(*words: str) -> str:
        call = [program, "--no-optional-locks", "-C", str(file.parent), *words]
        git = subprocess.run(call, capture_output=True, text=True, check=False)  # noqa: S603
        return "" if git.returncode else git.stdout.strip()

    tracked = git_output("ls-files", "--error-unmatch", file.name)
    return tracked and git_output("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
