"""Commands killed at random moments: is a rerun as good as a run that was never killed?

    python benchmarks/kills.py --moments 50

Each command first runs undisturbed. Then, as often as asked, it runs in a new folder and is killed
(SIGKILL, the command's own process alone) at a moment drawn uniformly between the first file that
it wrote and its end. The same command runs again; `train` with --resume if a run was begun. The
kill is survived if the rerun succeeds and gives the same bytes. Seconds, which no rerun can repeat,
are left out where they are measured: in metrics, histories, summaries and the header of a
checkpoint; pages and manifests, which hold them or their sums, are proven by the manifests instead.

Beside that are counted: leftovers, which are files and folders that the undisturbed command does
not leave, also hidden ones and in the folder for temporary files; and orphans, which are processes
of the killed command that are alive ORPHAN_SECONDS later. Needs no data but the excerpts that ship
with the package.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from sequela.datasets.catalog import EXCERPTS
from sequela.runs.manifest import MANIFEST, changes

ORPHAN_SECONDS = 10.0
_LOOK = 0.005
_MEASURED = re.compile(r"(seconds|_us|memory_bytes)$")
_STUDY = """
from sequela import register
from sequela.config import TrainingSettings
from sequela.studies.study import Study

register.study(Study(
    name="kills", title="Kills", heading="Kills", data=("bonn",), splits=("recording",),
    quick_epochs=8,
    training={name: TrainingSettings(epochs=4) for name in ("mlp-baseline", "mlp-improved")},
    reference_models=("majority-class",),
))
"""


@dataclass(frozen=True)
class Case:
    """A command, and how it is run again.

    Attributes:
        name: For the table.
        arguments: Of ``sequela``, run in a folder of its own.
        again: Those after a kill, given that folder; the same if nothing else is said, and none
            where all was done and only the process had not ended.
        environment: Variables, in addition.
    """

    name: str
    arguments: Sequence[str]
    again: Callable[[Path], Sequence[str] | None] | None = None
    environment: Callable[[Path], Mapping[str, str]] = lambda _: {}


@dataclass
class Count:
    """What became of the kills of a command."""

    tried: int = 0
    survived: int = 0
    leftovers: int = 0
    orphans: int = 0
    longest: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.survived} of {self.tried} kills survived, {self.leftovers} leftovers, "
            f"{self.orphans} orphans (the last process ended {self.longest:.1f} s after its parent)"
        )


class Place:
    """A new folder with a command's output, and one for its temporary files."""

    def __init__(self, case: Case, at: Path) -> None:
        self.case, self.out, self.temporary = case, at / "out", at / "tmp"
        self.out.mkdir(parents=True)
        self.temporary.mkdir()

    def start(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Begin a command."""
        environment = {
            **{name: value for name, value in os.environ.items() if name != "SEQUELA_DATA"},
            "TMPDIR": str(self.temporary),
            "SEQUELA_OPENINGS": str(self.temporary.parent / "openings.jsonl"),
            "OMP_NUM_THREADS": "1",
            **self.case.environment(self.out),
        }
        return subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "sequela", *arguments],
            cwd=self.out,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def finish(self, arguments: Sequence[str]) -> str:
        """Run a command to its end; what it complained of if it failed."""
        process = self.start(arguments)
        said = process.communicate()[1].decode()
        return "" if process.returncode == 0 else f"exit {process.returncode}: {said[-400:]}"

    def names(self) -> set[str]:
        """All that is there."""
        found = {path.relative_to(self.out).as_posix() for path in self.out.rglob("*")}
        return found | {f"TMPDIR/{path.name}" for path in self.temporary.iterdir()}

    def content(self) -> dict[str, bytes]:
        """What must be the same, file by file."""
        found = {}
        for path in sorted(self.out.rglob("*")):
            if path.is_file() and path.name not in (MANIFEST, "report.html", "openings.jsonl"):
                found[path.relative_to(self.out).as_posix()] = comparable(path)
        return found

    def unproven(self) -> list[str]:
        """Files that are not as a manifest says."""
        return [
            str(change)
            for manifest in self.out.rglob(MANIFEST)
            for change in changes(manifest.parent)
        ]


def comparable(path: Path) -> bytes:
    """The bytes of a file, but for measured times."""
    content = path.read_bytes()
    if path.name == "state.safetensors":
        return content[8 + int.from_bytes(content[:8], "little") :]
    if path.suffix == ".json":
        return json.dumps(_without_times(json.loads(content))).encode()
    if path.suffix == ".jsonl":
        return json.dumps([_without_times(json.loads(x)) for x in content.splitlines()]).encode()
    return content


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if not _MEASURED.search(name)}
        return {name: _without_times(each) for name, each in kept.items()}
    return [_without_times(each) for each in value] if isinstance(value, list) else value


def undisturbed(case: Case, at: Path) -> tuple[Place, float]:
    """A command as it should be: its place, and the seconds between its first file and its end."""
    place = Place(case, at)
    process = place.start(case.arguments)
    began = _first_file(place, process)
    said = process.communicate()[1].decode()
    if process.returncode:
        raise SystemExit(f"{case.name} failed: {said}")
    return place, time.monotonic() - began


def _first_file(place: Place, process: subprocess.Popen[bytes]) -> float:
    """Wait for the first file of a command, or its end; when that was."""
    while process.poll() is None and not any(place.out.iterdir()):
        time.sleep(_LOOK)
    return time.monotonic()


def kill(process: subprocess.Popen[bytes], moment: float) -> float:
    """Kill a command after so many seconds; how long its last process outlived it, if not NaN."""
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        began = time.monotonic()
        alive = psutil.wait_procs(family, timeout=ORPHAN_SECONDS)[1]
        for each in alive:
            each.kill()
        return float("inf") if alive else time.monotonic() - began
    process.communicate()
    return 0.0


def try_kills(case: Case, moments: int, rng: random.Random, at: Path) -> Count:
    """Kill a command so many times, each in a new folder."""
    whole, seconds = undisturbed(case, at / "whole")
    wanted, names, count = whole.content(), whole.names(), Count()
    number = 0
    while count.tried < moments:
        place, number = Place(case, at / f"{number}"), number + 1
        process = place.start(case.arguments)
        began = _first_file(place, process)
        outlived = kill(process, rng.uniform(0, seconds))
        killed = process.returncode == -signal.SIGKILL
        count.tried += killed
        if not killed:  # it had ended: no kill, and the machine is quicker now than it was
            seconds = min(seconds, time.monotonic() - began)
            continue
        count.orphans += outlived == float("inf")
        count.longest = max(count.longest, min(outlived, ORPHAN_SECONDS))
        rerun = case.again(place.out) if case.again else case.arguments
        said = "" if rerun is None else place.finish(rerun)
        found = place.content()
        other = [n for n in {**wanted, **found} if wanted.get(n) != found.get(n)]
        left = place.names() - names
        wrong = [said] * bool(said) + [f"differs: {n}" for n in other] + place.unproven()
        count.survived += not wrong
        count.leftovers += len(left)
        count.wrong += [*wrong, *(f"left: {name}" for name in sorted(left))]
    return count


def _train() -> list[str]:
    return ["train", "mlp-baseline", "--data", "bonn", "--epochs", "10", "--out", "run"]


def _folds() -> list[str]:
    settings = ["--data", "mimic3", "--epochs", "3", "--folds", "2"]
    return ["train", "visits-baseline", *settings, "--out", "run"]


def cases(plugin: Path) -> dict[str, Case]:
    """The commands that are killed."""
    plugin.write_text(_STUDY, "utf-8")
    study = ["reproduce", "kills", "--quick", "--processes", "2", "--out", "study"]
    build = ["build", "mimic3", "--root", str(EXCERPTS / "mimic3"), "--out", "events"]
    return {
        each.name: each
        for each in (
            Case("build", build, lambda out: None if (out / "events").exists() else build),
            Case("train", _train(), lambda _: [*_train(), "--resume"]),
            Case("folds", _folds(), lambda _: [*_folds(), "--resume"]),
            Case("reproduce", study, environment=lambda _: {"SEQUELA_PLUGINS": str(plugin)}),
        )
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="+", default=[])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as at:
        known = cases(Path(at) / "plugin.py")
        failed = False
        for name in asked.commands or known:
            rng = random.Random(f"{asked.seed} {name}")
            count = try_kills(known[name], asked.moments, rng, Path(at) / name)
            print(f"{name}: {count}", flush=True)
            for line in count.wrong:
                print(f"  {line}", flush=True)
            failed |= bool(count.wrong or count.orphans)
    sys.exit(failed)


if __name__ == "__main__":
    main()
