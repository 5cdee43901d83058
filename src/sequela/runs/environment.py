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
    commit = commit_of(Path(__file__))
    return {
        "sequela": __version__,
        **({"commit": commit} if commit else {}),
        "python": platform.python_version(),
        **{name: found for name in _LIBRARIES if (found := _version(name))},
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "torch_threads": 1,
    }


def _version(library: str) -> str:
    """Return the version of a library; empty for one of an extra that is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


@cache
def commit_of(file: Path) -> str:
    """Return the commit of a tracked file, marked if anything was changed since, or nothing."""
    git = shutil.which("git")
    if git is None:
        return ""

    def said(*words: str) -> str:
        call = [git, "--no-optional-locks", "-C", str(file.parent), *words]
        done = subprocess.run(call, capture_output=True, text=True, check=False)  # noqa: S603 - git
        return "" if done.returncode else done.stdout.strip()

    tracked = said("ls-files", "--error-unmatch", file.name)
    return tracked and said("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
