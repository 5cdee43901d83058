"""Measure Sequela next to other ways to do the same work, and write the table of the page on speed.

    python -m benchmarks.field [--only NAME ...] [--runs 3] [--quick] [--write]

Inputs are synthetic, and are written first, into ``--folder`` if it is given, where a later call
finds them. Each way runs in a process of its own, and the ways to do one work take turns. PyHealth
needs its own environment, because it pins older libraries: ``--pyhealth PYTHON`` names the
interpreter (Python 3.12 or 3.13, ``pip install pyhealth psutil``). ``--quick`` takes small inputs
once, without Spark, to see that everything works.
"""

import argparse
import importlib.util
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.field import numbers, signals, tables
from benchmarks.field.measure import measured, run

WORKS = {**tables.WORKS, **signals.WORKS, **numbers.WORKS}
SUMMARY = Path(__file__).with_name("summary.json")
PAGE = Path(__file__).parents[2] / "docs/contributing/speed.md"
MARK = "<!-- by benchmarks.field -->\n"
PACKAGES = ("duckdb", "polars", "torch", "numpy", "scikit-learn", "mne", "onnxruntime", "pyspark")


def python_of(way: str, asked: argparse.Namespace) -> str:
    """Return the interpreter of a way, or nothing if what it needs is not there, or not quick."""
    if way == "PyHealth":
        return str(asked.pyhealth)
    has_spark = importlib.util.find_spec("pyspark") and shutil.which("java")
    if "Spark" in way and (asked.quick or not has_spark):
        return ""
    return sys.executable


def compare(name: str, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Run the ways to do a work by turns, and return all that they took."""
    work = WORKS[name]
    scale = work.quick if asked.quick else 1.0
    root = folder / f"{name}-{scale:g}"
    if not root.is_dir():
        partial = folder / f"{root.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        work.make(partial, scale)
        partial.rename(root)
    pythons = {way: python_of(way, asked) for way in work.ways}
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way, python in pythons.items() if python}
    for _ in range(asked.runs):
        for way, taken in runs.items():
            taken.append(measured(name, way, root, pythons[way]))
            print(f"{name}, {way}: {json.dumps(taken[-1], ensure_ascii=False)}", flush=True)
    return {
        "title": work.title,
        "scale": scale,
        "ways": {
            way: {key: [each[key] for each in taken] for key in taken[0]}
            for way, taken in runs.items()
        },
        "left_out": [way for way, python in pythons.items() if not python],
    }


def document(found: dict[str, Any]) -> str:
    """Return the table of the page, in Markdown."""
    made = found["made"]
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items())
    how = f"median of {found['runs']} runs (lowest to highest)" if found["runs"] > 1 else "one run"
    measured_on = (
        f"Measured on {made['date']} at commit `{made['commit']}`: {made['machine']}, with a load "
        f"average of {made['load_average']:g} before; {versions}. Numbers are of {how} each."
    )
    lines = [
        measured_on,
        "",
        "| work | by | seconds | processor seconds | memory, MB | times `sequela` | result |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for work in found["works"].values():
        title = work["title"]
        ours = statistics.median(work["ways"]["sequela"]["processor_seconds"])
        title += f" (at {work['scale']:g} of this size)" * (work["scale"] != 1)
        for way, taken in work["ways"].items():
            ratio = statistics.median(taken["processor_seconds"]) / ours
            cells = [
                *(_spread(taken[key]) for key in ("seconds", "processor_seconds", "memory_mb")),
                "" if way == "sequela" else f"{ratio:,.1f}",
            ]
            lines.append(f"| {title} | {way} | {' | '.join(cells)} | {taken['made'][-1]} |")
            title = ""
    left_out = [
        f"{name} ({way})" for name, work in found["works"].items() for way in work["left_out"]
    ]
    if left_out := [*(name for name in WORKS if name not in found["works"]), *left_out]:
        lines += ["", f"Not measured: {', '.join(left_out)}."]
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float]) -> str:
    """Return the median, and the lowest and highest of several values."""
    median = statistics.median(values)
    form = ",.2f" if median < 10 else ",.0f"
    spread = f" ({min(values):{form}} to {max(values):{form}})" if len(values) > 1 else ""
    return f"{median:{form}}{spread}"


def write(found: dict[str, Any]) -> None:
    """Write the summary, and the table into the page."""
    SUMMARY.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    before, _, rest = PAGE.read_text("utf-8").partition(MARK)
    after = rest.partition(MARK)[2]
    PAGE.write_text(f"{before}{MARK}\n{document(found)}\n{MARK}{after}", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table, or be one way of one work."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="for inputs, which stay there")
    parser.add_argument("--quick", action="store_true", help="small inputs, one run, no Spark")
    parser.add_argument("--write", action="store_true", help="write summary.json and the page")
    parser.add_argument("--pyhealth", default="", metavar="PYTHON")
    parser.add_argument("--do", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    asked.runs = 1 if asked.quick else asked.runs
    if asked.do:
        name, way, root, out = asked.do
        run(WORKS[name].ways[way], Path(root), Path(out))
        return
    if asked.write and asked.quick:
        parser.error("--write needs inputs of full size: leave --quick out")
    from benchmarks.serving.run import machine

    found: dict[str, Any] = {"made": machine(*PACKAGES), "runs": asked.runs, "works": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = asked.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        for work in sorted(asked.only, key=list(WORKS).index):
            found["works"][work] = compare(work, folder, asked)
    print(document(found))
    if asked.write:
        write(found)


if __name__ == "__main__":
    main()
