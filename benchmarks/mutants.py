"""Change one place of a package at a time, and count the changes that its tests notice.

    pip install --group mutation
    python benchmarks/mutants.py cohort --mutants 40 --seed 2

The changes are those of cosmic-ray: another operator, comparison or number, True for False, an
exception that is not caught, a loop that is not entered. Places are drawn at random, without
annotations, and one change of each. All happens in a copy of the tree. A change is noticed by a
test that fails, or that takes ten times as long as all tests without the change. The command prints
those that were not noticed; `cr-report mutants.sqlite --show-diff` prints all.
"""

import argparse
import ast
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

from cosmic_ray.commands.execute import execute
from cosmic_ray.commands.init import init
from cosmic_ray.config import ConfigDict
from cosmic_ray.work_db import use_db

ROOT = Path(__file__).parents[1]
LEAST_SECONDS = 60  # that the tests may take
SLOWER = 10  # times the seconds without a change, after which a change is noticed


def annotations(file: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return where the annotations of a file begin and end."""
    nodes: list[Any] = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        nodes += filter(None, (getattr(node, "annotation", None), getattr(node, "returns", None)))
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in nodes]


def drawn(items: Any, number: int, seed: int) -> list[Any]:
    """Draw places, and one of the changes of each."""
    places = defaultdict(list)
    changes = [(item.mutations[0], item) for item in items]
    for change, item in sorted(changes, key=lambda c: (c[0].operator_name, c[0].occurrence)):
        places[str(change.module_path), change.start_pos].append(item)
    left_out = {file: annotations(Path(file)) for file, _ in places}
    allowed = [
        (file, place)
        for file, place in sorted(places)
        if not any(start <= place < end for start, end in left_out[file])
    ]
    rng = Random(seed)
    chosen = rng.sample(allowed, min(number, len(allowed)))
    return [rng.choice(places[place]) for place in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("package", help="of src/sequela, whose tests are in tests/PACKAGE")
    parser.add_argument("--mutants", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--level", default="quick", help="of the tests: quick, usual or all")
    parser.add_argument("--session", type=Path, default=Path("mutants.sqlite"))
    options = parser.parse_args()
    session = options.session.resolve()
    pytest = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    command = [*pytest, "--level", options.level, f"tests/{options.package}"]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder, "tree")
        skipped = shutil.ignore_patterns(
            ".git", ".venv", "build", "dist", "__pycache__", ".*_cache"
        )
        shutil.copytree(ROOT, tree, ignore=skipped)
        os.chdir(tree)
        os.environ.update(PYTHONPATH=f"{tree}/src", OMP_NUM_THREADS="1", TMPDIR=folder)
        os.environ.pop("SEQUELA_DATA", None)
        start = time.monotonic()
        subprocess.run(command, check=True)  # noqa: S603 (the tests pass on the code as it is)
        seconds = max(LEAST_SECONDS, SLOWER * (time.monotonic() - start))
        with use_db(session) as work:
            init(sorted(Path("src/sequela", options.package).rglob("*.py")), work, {})
            chosen = drawn(work.work_items, options.mutants, options.seed)
            work.clear()
            work.add_work_items(chosen)
            settings = {"test-command": shlex.join(command), "timeout": seconds}
            execute(work, ConfigDict({**settings, "distributor": {"name": "local"}}))
            survivors = [result for _, result in work.results if not result.is_killed]
    for result in survivors:
        print(result.diff)
    noticed = len(chosen) - len(survivors)
    print(f"{options.package}: {noticed} of {len(chosen)} changes noticed")


if __name__ == "__main__":
    main()
