"""Break the code, one small change at a time, and see whether the tests of its package notice.

    python -m fuzz.mutation cost evaluation --mutants 60 --results mutation.json
    python -m fuzz.mutation cost --results mutation.json --again    # only those that survived

The changes are the operators of cosmic-ray: another operator or comparison, a number one more or
less, True for False, a condition turned round, an exception that is not caught, a loop that is not
entered. Places are drawn at random from the package, and one change at each. Left out are
annotations, the guards `frozen`, `slots` and `strict`, and `is` for `==`, which is nearly always
the same. All happens in a copy of the tree.

First the tests of the package run once, and coverage.py notes which test runs which line. A mutant
is given the tests that run its line, or those that run anything of its file where the line runs at
import, and ends at the first that fails. It is killed by a test that fails, or by a time that is
far over that of its tests. `fuzz/equivalent.toml` lists mutants that were read and do the same as
the code, each with why; they are not counted.
"""

import argparse
import ast
import json
import os
import shutil
import sys
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from fuzz.covering import Covered, covered, run_tests

ROOT = Path(__file__).parent.parent
PACKAGES = ("cohort", "cost", "evaluation", "sequences", "runs", "report")
EQUIVALENT = Path(__file__).parent / "equivalent.toml"
HEAVY = ("torch", "duckdb", "pyarrow.parquet", "sklearn.linear_model", "scipy.stats", "altair",
         "pandas", "narwhals", "pydantic")  # fmt: skip
LEAST, SLACK = 60.0, 10.0
"""Seconds that a mutant has at least, and how many times those that its tests took."""

GUARDS = ("frozen", "slots", "strict")
"""Arguments that refuse what a programmer may do wrong, and change nothing that is right."""
KILLED, LATE, SURVIVED, EQUAL = "killed", "too late", "survived", "equivalent"
VERDICTS = (KILLED, LATE, SURVIVED, EQUAL)
Results = dict[str, list[tuple[dict[str, Any], str]]]
"""Package to its mutants and what became of each."""
CALM = """
import hypothesis
hypothesis.settings.register_profile(
    "mutants", deadline=None, derandomize=True, database=None,
    suppress_health_check=list(hypothesis.HealthCheck))
hypothesis.settings.load_profile("mutants")
"""


@dataclass(frozen=True)
class Mutant:
    """A change of the code.

    Attributes:
        file: Relative to the root.
        line: Where it is, from 1.
        before, after: That line as it is and with the change.
        operator: What cosmic-ray calls the change.
        occurrence: Which of the places where the operator can change the file.
    """

    file: str
    line: int
    before: str
    after: str
    operator: str
    occurrence: int

    @property
    def key(self) -> tuple[str, str, str]:
        """What stays the same when lines are added above."""
        return self.file, self.before, self.after

    def __str__(self) -> str:
        return f"{self.file}:{self.line}\n    {self.before}\n    {self.after}"


def _left_out(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Places of annotations, of imports for type checkers alone, and of guards of programmers."""
    found: list[ast.AST] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns:
            found.append(node.returns)
        elif isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation:
            found.append(node.annotation)
        typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if typing or (isinstance(node, ast.keyword) and node.arg in GUARDS):
            found.append(node)
    places: list[Any] = found
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in places]


def mutants_of(package: str, seed: int, root: Path) -> Iterator[Mutant]:
    """One change at each place of a package where one can be made, in an order of chance."""
    from cosmic_ray.commands.init import _all_work_items

    rng = Random(f"{package} {seed}")
    places: dict[tuple[str, tuple[int, int], str], list[tuple[str, int]]] = defaultdict(list)
    files = sorted((root / "src/sequela" / package).rglob("*.py"))
    left_out = {str(file): _left_out(file.read_text("utf-8")) for file in files}
    for item in _all_work_items(files, {}):
        (each,) = item.mutations
        file, operator, place = str(each.module_path), each.operator_name, each.start_pos
        family, *kinds = operator.split("/")[-1].split("_")
        identity = len({*kinds} & {"Is", "IsNot"}) == 1
        if identity or any(start <= place < end for start, end in left_out[file]):
            continue
        places[file, place, family].append((operator, each.occurrence))
    for where in rng.sample(sorted(places), len(places)):
        operator, occurrence = rng.choice(places[where])
        yield _made(root, Path(where[0]), operator, occurrence)


def _made(root: Path, file: Path, operator: str, occurrence: int) -> Mutant:
    code = file.read_text("utf-8")
    changed = _changed(code, operator, occurrence)
    lines = list(zip(code.splitlines(), changed.splitlines(), strict=False))
    number = next((n for n, (old, new) in enumerate(lines) if old != new), 0)
    before, after = (line.strip() for line in lines[number])
    return Mutant(str(file.relative_to(root)), number + 1, before, after, operator, occurrence)


def _changed(code: str, operator: str, occurrence: int) -> str:
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    return mutate_code(code, get_operator(operator)(), occurrence) or ""


def found_again(mutant: Mutant, root: Path) -> Mutant | None:
    """A mutant of an earlier run in the code as it is now; none if its line is no more."""
    code = (root / mutant.file).read_text("utf-8")
    for occurrence in (mutant.occurrence, *range(10_000)):
        if not _changed(code, mutant.operator, occurrence):
            if occurrence == mutant.occurrence:
                continue
            return None
        now = _made(root, root / mutant.file, mutant.operator, occurrence)
        if now.key == mutant.key:
            return now
    return None


def verdict_of(mutant: Mutant, known: Covered, root: Path) -> str:
    """Put a change into the copy, run its tests, and take the change back."""
    path = root / mutant.file
    source = path.read_text("utf-8")
    tests = known.of(mutant.file, mutant.line, source)
    seconds = max(LEAST, SLACK * sum(known.seconds[test] for test in tests))
    path.write_text(_changed(source, mutant.operator, mutant.occurrence), "utf-8")
    try:
        status = run_tests(root, tests, [], seconds) if tests else 0
    finally:
        path.write_text(source, "utf-8")
    return SURVIVED if status == 0 else LATE if status < 0 else KILLED


def table(results: Results) -> str:
    """The counts as a Markdown table."""
    head = ("package", "mutants", *VERDICTS, "score")
    rows: list[tuple[str, ...]] = [head, ("---",) * len(head)]
    equal = _equivalents()
    sums = Counter[str]()
    for package, judged in results.items():
        counts = Counter(EQUAL if Mutant(**m).key in equal else v for m, v in judged)
        sums.update(counts)
        rows.append(_row(package, counts))
    return "\n".join(f"| {' | '.join(row)} |" for row in [*rows, _row("all", sums)])


def _row(name: str, counts: Counter[str]) -> tuple[str, ...]:
    noticed = counts[KILLED] + counts[LATE]
    score = f"{noticed / max(noticed + counts[SURVIVED], 1):.1%}"
    return (name, *(f"{n:,}" for n in (counts.total(), *(counts[v] for v in VERDICTS))), score)


def _equivalents() -> set[tuple[str, str, str]]:
    listed = tomllib.loads(EQUIVALENT.read_text("utf-8")).get("mutant", [])
    return {(each["file"], each["before"], each["after"]) for each in listed}


def _copy(to: Path) -> Path:
    """The tree, and a module that calms hypothesis; tests and their processes import from it."""
    skipped = shutil.ignore_patterns(".git", ".venv", "build", "dist", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, to / "tree", ignore=skipped)
    (to / "calm").mkdir()
    (to / "calm/calm.py").write_text(CALM, "utf-8")
    first = [f"{to}/tree/src", f"{to}/tree", f"{to}/calm"]
    sys.path[:0] = first
    os.environ["PYTHONPATH"] = os.pathsep.join([*first, os.environ.get("PYTHONPATH", "")])
    os.environ.update(OMP_NUM_THREADS="1", TMPDIR=str(to))
    os.environ.pop("SEQUELA_DATA", None)
    return to / "tree"


def judge(package: str, given: argparse.Namespace, results: Results, root: Path) -> None:
    """Judge new mutants of a package until there are enough, or once more those that survived."""
    _write_bytecode(wanted=True)
    known = covered(package, root, given.results.with_suffix(f".{package}.json"))
    _write_bytecode(wanted=False)  # a change in the same second would not be seen
    seconds = sum(known.seconds.values())
    print(f"{package}: {len(known.seconds)} tests in {seconds:.0f} s", flush=True)
    verdicts = {Mutant(**mutant): verdict for mutant, verdict in results.get(package, [])}
    drawn: Iterator[tuple[Mutant, Mutant | None]]
    if given.again:
        survived = [mutant for mutant, verdict in verdicts.items() if verdict == SURVIVED]
        drawn = ((mutant, found_again(mutant, root)) for mutant in survived)
    else:
        every = ((mutant, mutant) for mutant in mutants_of(package, given.seed, root))
        seen = {(mutant.key, mutant.operator) for mutant in verdicts}
        fresh = (each for each in every if (each[0].key, each[0].operator) not in seen)
        drawn = islice(fresh, max(given.mutants - len(verdicts), 0))
    for before, mutant in drawn:
        verdicts.pop(before, None)
        if mutant:
            verdicts[mutant] = verdict = verdict_of(mutant, known, root)
            if verdict == SURVIVED:
                print(f"  {mutant}", flush=True)
        results[package] = [(asdict(m), v) for m, v in verdicts.items()]
        given.results.write_text(json.dumps(results, indent=1), "utf-8")


def _write_bytecode(*, wanted: bool) -> None:
    sys.dont_write_bytecode = not wanted
    os.environ["PYTHONDONTWRITEBYTECODE"] = "" if wanted else "1"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.mutation")
    parser.add_argument("packages", nargs="*", help=f"of {', '.join(PACKAGES)}; all by default")
    parser.add_argument("--mutants", type=int, default=60, help="of each package, in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=Path("mutation.json"))
    parser.add_argument("--again", action="store_true", help="judge those that survived once more")
    given = parser.parse_args()
    given.results = given.results.resolve()
    results = json.loads(given.results.read_text("utf-8")) if given.results.exists() else {}
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        root = _copy(Path(name).resolve())
        for heavy in HEAVY:
            import_module(heavy)
        for package in given.packages or PACKAGES:
            judge(package, given, results, root)
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
