"""The budgets of the code: they may be lowered, and are raised only with a decision record."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sequela.datasets.catalog import EXCERPTS

LINES, CODE = 62_278, 43_874
"""All lines of ``src/``, and those that are not docstrings, comments or blank."""
MODULES, OTHER_TEXT = 296, 5_305
"""Modules of ``src/`` and lines of its TOML, templates, JavaScript and JSON."""
TESTS, MEASUREMENTS = 49_142, 7_908
"""Lines of Python in ``tests/``, and in ``benchmarks/``."""
IMPORTS = 103
"""Our modules that a run on recordings loads."""
IMPORTS_OF_THE_COMMAND = 124
"""Those that ``sequela train`` loads for it."""
SIBLINGS = 20
"""Modules of one package, without its subpackages and its ``__init__.py``."""
UNTYPED = 28
"""Places with ``dict[str, Any]`` in what reads and shows runs."""
LOOKUPS = 22
"""Calls that find a data set by its name, outside of ``datasets``."""
ASKED = 12
"""Branches on the kind of data, outside of ``datasets``."""
KIND = re.compile(
    r"(?:is|is not|[!=]=) Modality\.|(?:kind|kind_of\(.*\)) [!=]= \"(?:signal|records|eeg|ehr)\""
    r"|\bif (?:self\.)?(?:model\.)?facts\.(?:signal|records)\b|\"n_times\" (?:not )?in header"
)
EMPTY_NAMES = 21
"""Variables and arguments that are named after no content."""
EMPTY = re.compile(
    r"found|said|asked|given|told|kept|known|named|made|done|taken|seen|shown|drawn|chosen|meant"
    r"|wanted|tried|planned|held|passed|put|left"
    r"|each|one|it|of|there|others?|both|alone|own|whole|beside|so"
)
ANY = 307
"""Places with the type ``Any``."""
SHOWN = ("runs", "analysis", "integrity", "report", "serving", "web")
HOSPITALS = re.compile(r"sequela\.tables|runs\.records|cohort\.selection")
SOURCE = Path(__file__).parents[1] / "src"
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def counted(text: str, tree: ast.Module) -> tuple[int, int]:
    """Return the lines of a module, and those of code."""
    lines = text.splitlines()
    left_out = {i for i, line in enumerate(lines, 1) if line.strip()[:1] in ("", "#")}
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False):
            docstring = node.body[0]
            left_out |= {*range(docstring.lineno, (docstring.end_lineno or 0) + 1)}
    return len(lines), len(lines) - len(left_out)


def test_what_is_code() -> None:
    text = '"""One.\n\nTwo.\n"""\n\n# three\ndef four() -> int:\n    """Return."""\n    return 4\n'
    assert counted(text, ast.parse(text)) == (9, 2)


def lines_of(folder: Path, *suffixes: str) -> int:
    """Count the lines of the files that git knows in a folder, by the ends of their names."""
    listed = ["git", "ls-files", "-z", *(f"*{suffix}" for suffix in suffixes)]
    names = subprocess.run(listed, check=True, capture_output=True, text=True, cwd=folder).stdout
    paths = [folder / name for name in names.split("\0") if name]
    return sum(len(path.read_text("utf-8").splitlines()) for path in paths)


def test_the_rest_keeps_its_budget() -> None:
    root = SOURCE.parent
    if not (root / ".git").exists():
        pytest.skip("not a clone")
    modules = [path for path in SOURCE.rglob("*.py") if path.stem != "__init__"]
    assert len(modules) <= MODULES
    assert lines_of(SOURCE, ".toml", ".j2", ".html", ".css", ".js", ".json") <= OTHER_TEXT
    assert lines_of(root / "tests", ".py") <= TESTS
    assert lines_of(root / "benchmarks", ".py") <= MEASUREMENTS


def bound(tree: ast.AST) -> list[str]:
    """Return the name of each variable and argument that is bound."""
    nodes = list(ast.walk(tree))
    stored = [n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return stored + [node.arg for node in nodes if isinstance(node, ast.arg)]


def test_the_source_keeps_its_budget_and_names_say_what_they_hold() -> None:
    assert bound(ast.parse("def f(each):\n    found = 1")) == ["found", "each"]
    lines = code = empty = untyped = 0
    for text in (path.read_text("utf-8") for path in SOURCE.rglob("*.py")):
        tree = ast.parse(text)
        counts = counted(text, tree)
        lines, code = lines + counts[0], code + counts[1]
        empty += sum(EMPTY.fullmatch(name) is not None for name in bound(tree))
        untyped += len(re.findall(r"\bAny\b", text))
    assert lines <= LINES
    assert code <= CODE
    assert empty <= EMPTY_NAMES
    assert untyped <= ANY


def test_no_package_is_a_corridor() -> None:
    packages = {path.parent for path in SOURCE.rglob("__init__.py")}
    most = max(len([*folder.glob("*.py")]) - 1 for folder in packages)
    assert most <= SIBLINGS


def test_what_is_shown_is_typed() -> None:
    texts = (path.read_text("utf-8") for room in SHOWN for path in SOURCE.glob(f"*/{room}/**/*.py"))
    assert sum(text.count("dict[str, Any]") for text in texts) <= UNTYPED


def others() -> list[str]:
    """Return the text of each module outside of ``datasets``."""
    paths = (path for path in SOURCE.rglob("*.py") if "datasets" not in path.parts)
    return [path.read_text("utf-8") for path in paths]


def lookups(text: str) -> int:
    """Count the calls of the catalogue's ``lookup``, by the name that a module has for it."""
    alone = re.search(r"datasets\.catalog import .*\blookup\b", text)
    return len(re.findall(r"(?<![.\w])lookup\(" if alone else r"catalog\.lookup\(", text))


def test_a_data_set_is_passed_and_its_kind_is_not_asked() -> None:
    assert lookups("from sequela.datasets.catalog import Located, lookup\nlookup(name).find()") == 1
    assert lookups("entry = catalog.lookup(name); registry.lookup(name)") == 1
    assert sum(map(lookups, others())) <= LOOKUPS
    assert KIND.search("if data_set.modality is not Modality.RECORDS:")
    assert KIND.search('if kind == "records":')
    assert sum(len(KIND.findall(text)) for text in others()) <= ASKED


PROGRAM = """
import sys
from pathlib import Path
from sequela.config import RunSettings, TrainingSettings
from sequela.runs.fit import train

def show(when):
    print(when, *(name for name in sys.modules if name.partition(".")[0] == "sequela"))

out, root = map(Path, sys.argv[1:])
one = TrainingSettings(epochs=1)
train(RunSettings(model="mlp-baseline", data="bonn", training=one), out / "run", root=root)
show("run:")
from sequela.cli.app import main
words = ["train", "mlp-baseline", "--data", "bonn", "--root", str(root), "--epochs", "1"]
try:
    main([*words, "--out", str(out / "again")])
finally:
    show("command:")
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Our modules that a process has loaded after a run, and after the command for such a run."""
    place = tmp_path_factory.mktemp("imports")
    command = [sys.executable, "-c", PROGRAM, f"{place}", f"{EXCERPTS}/bonn.parquet"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [line.split() for line in printed.splitlines()]
    return {when: names for when, *names in lines if when in ("run:", "command:")}


@pytest.mark.slow
def test_a_run_on_recordings_loads_no_hospital_tables(modules: dict[str, list[str]]) -> None:
    names = modules["run:"]
    assert "sequela.runs.fit" in names
    assert len(names) <= IMPORTS
    assert not [name for name in names if HOSPITALS.search(name)]


@pytest.mark.slow
def test_a_command_loads_no_other_command(modules: dict[str, list[str]]) -> None:
    names = modules["command:"]
    assert len(names) <= IMPORTS_OF_THE_COMMAND
    commands = [name for name in names if name.startswith("sequela.cli.commands.")]
    assert commands == ["sequela.cli.commands.train"]
    assert not [name for name in names if HOSPITALS.search(name)]
