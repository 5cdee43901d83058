"""Tables to events with DuckDB and with Spark on this machine, and the slope to a billion events.

Both engines read the same tables of MIMIC-III's size (``make_mimic3_scale.py`` writes them where a
folder has none): admissions, stays in intensive care and diagnoses. Each build runs in a process
of its own, start-up included; the processor seconds and the largest resident memory are those of
the process and of all that it started (Java, Spark's tasks). The slope is the difference between
the largest and the smallest scale for each million events.

With ``--master spark://host:7077``, Spark's tasks run on that cluster, so that the figures of Spark
are those of its driver alone: Python and Java. The SHA-256 is that of the names and bytes of all
shards.

    python benchmarks/engines.py FOLDER [--scales 1 10] [--engines duckdb spark] [--master URL]
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

MAKER = Path(__file__).with_name("make_mimic3_scale.py")
BUILD = """
import sys
import sequela
from pathlib import Path
root, out, engine, *master = sys.argv[1:]
options = {"engine": engine, "master": master[0] if master else None}
made = sequela.build("mimic3", out, root=root, tables=["DIAGNOSES_ICD"], **options)
print(made.events)
"""


class Watch(threading.Thread):
    """The processor seconds and the resident memory of a process and all below it."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self.process = process
        self.seconds: dict[int, float] = {}
        self.memory = self.driver = 0

    def run(self) -> None:
        """Look ten times a second."""
        while self.process.is_running():
            total = 0
            try:
                family = [self.process, *self.process.children(recursive=True)]
            except psutil.Error:
                return
            for each in family:
                try:
                    times, memory = each.cpu_times(), each.memory_info().rss
                except psutil.Error:
                    continue
                self.seconds[each.pid] = times.user + times.system
                total += memory
                if each == self.process:
                    self.driver = max(self.driver, memory)
            self.memory = max(self.memory, total)
            time.sleep(0.1)


def build(root: Path, out: Path, engine: str, *master: str) -> dict[str, Any]:
    """One build: its events, and what they took."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-c", BUILD, str(root), str(out), engine, *master]
    begin = time.perf_counter()
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as made:
        watch = Watch(psutil.Process(made.pid))
        watch.start()
        printed, _ = made.communicate()
    if made.returncode:
        raise SystemExit(f"{engine} failed on {root}")
    return {
        "events": int(printed),
        "seconds": time.perf_counter() - begin,
        "processor_seconds": sum(watch.seconds.values()),
        "python_mb": watch.driver / 1e6,
        "memory_mb": watch.memory / 1e6,
        "sha256": sha256_of(out / "data"),
    }


def sha256_of(folder: Path) -> str:
    """The SHA-256 of the names and bytes of all files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.parquet")):
        digest.update(str(path.relative_to(folder)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scales", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--engines", nargs="+", default=["duckdb", "spark"])
    parser.add_argument("--master", nargs=1, default=[])
    asked = parser.parse_args()
    rows = []
    for scale in asked.scales:
        root = asked.folder / f"mimic3-{scale}"
        if not root.is_dir():
            subprocess.run([sys.executable, MAKER, root, "--scale", str(scale)], check=True)  # noqa: S603
        for engine in asked.engines:
            master = asked.master if engine == "spark" else []
            made = build(root, asked.folder / "out", engine, *master)
            row = {"engine": engine, "scale": scale} | made
            rows.append(row)
            print(json.dumps(row), flush=True)
    for engine in asked.engines if len(asked.scales) > 1 else ():
        first, *_, last = (row for row in rows if row["engine"] == engine)
        for key in ("seconds", "processor_seconds", "memory_mb"):
            slope = (last[key] - first[key]) / (last["events"] - first["events"]) * 1e6
            print(f"{engine}: {slope:.3g} {key} more for each million events")


if __name__ == "__main__":
    main()
