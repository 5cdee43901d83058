"""What the README and the docs show is run: the seventh model, each command, each option."""

import json
import re
import runpy
import shlex
from collections.abc import Iterator
from copy import copy
from functools import cache
from pathlib import Path

import pytest
from cyclopts import App
from pydantic import BaseModel

from sequela.cli.app import build_app, main
from sequela.config import CohortSettings, SignalSettings, TrainingSettings, options
from sequela.models import registry
from sequela.runs.pool import PlannedRun

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [
    README,
    *(ROOT / f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY")),
    *sorted((ROOT / "docs").rglob("*.md")),
]

KEYED = ("metrics", "split", "environment", "cost")

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


def text_of(page: Path, under: str = "") -> str:
    """The text of a page, or of its section with this heading."""
    text = page.read_text("utf-8")
    if not under:
        return text
    heading = re.search(rf"^(#+) {re.escape(under)}$", text, re.MULTILINE)
    assert heading, f"{page.name} has no section {under}"
    rest = text[heading.end() :]
    prose = FENCE.sub(lambda block: "-" * len(block[0]), rest)
    end = re.search(rf"^#{{1,{len(heading[1])}}} ", prose, re.MULTILINE)
    return rest[: end.start()] if end else rest


def fences(page: Path, language: str, under: str = "") -> list[str]:
    """The code blocks of a page, or of a section, in one language."""
    return [code for kind, code in FENCE.findall(text_of(page, under)) if kind == language]


def inline(page: Path, under: str = "") -> list[str]:
    """The code inside the sentences of a page."""
    return INLINE.findall(FENCE.sub("", text_of(page, under)))


def commands(page: Path, under: str = "") -> list[list[str]]:
    """What follows the word sequela, wherever the page shows it as something to type."""
    lines = [line for block in fences(page, "sh", under) for line in block.splitlines()]
    lines += [
        line.removeprefix("$ ")
        for block in fences(page, "console", under)
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    lines += inline(page, under)
    found = [shlex.split(line, comments=True) for line in lines if line.startswith("sequela ")]
    return [words[1:] for words in found]


def paths_of_commands(within: App, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words that call each command, those of groups followed to their ends."""
    for name in (each for each in within if not each.startswith("-")):
        command = within[name]
        if any(not each.startswith("-") for each in command):
            yield from paths_of_commands(command, (*path, name))
        else:
            yield (*path, name)


@cache
def complete_paths() -> set[tuple[str, ...]]:
    return {*paths_of_commands(build_app())}


def call(words: list[str]) -> None:
    """Run a command line; it must succeed."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert not ended.value.code


@cache
def parse(*words: str) -> None:
    """Raise if the command line would refuse these words; run nothing.

    A command may be named in a sentence without what it needs.
    """
    if words in complete_paths():
        return
    build_app().parse_args(words, exit_on_error=False, print_error=False)


class BegunError(Exception):
    """Training would begin now."""


TRAINED = {
    shlex.join(words): words
    for page in PAGES
    for words in commands(page)
    if words[0] == "train" and "--data" in words
}


@pytest.mark.parametrize("words", TRAINED.values(), ids=TRAINED)
def test_each_training_shown_begins(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that a command does before the first epoch; files of the reader's own are not there."""

    def begin(*_: object, **__: object) -> None:
        raise BegunError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PlannedRun, "train", begin)
    known = words[words.index("--data") + 1] in {"bonn", "mimic3", "eicu"}
    missing = "--root" in words or any(".toml" in word or ".py" in word for word in words)
    with pytest.raises(BegunError if known and not missing else (BegunError, SystemExit)):
        main(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_shown_exist(page: Path) -> None:
    for words in commands(page):
        try:
            parse(*words)
        except Exception as error:  # noqa: BLE001 - each kind of refusal is told the same way
            pytest.fail(f"{page.name} shows `sequela {shlex.join(words)}`: {error}")


def test_an_option_or_command_that_does_not_exist_is_noticed() -> None:
    for line in ("train mlp-baseline --data bonn --speed 9", "retrain x", "reproduce stroke"):
        with pytest.raises(Exception, match=r"(?i)unknown|invalid|choose"):
            parse(*shlex.split(line))


def test_every_command_is_shown_in_the_list() -> None:
    shown = commands(ROOT / "docs" / "reference.md")
    for path in paths_of_commands(build_app()):
        example = next((words for words in shown if tuple(words[: len(path)]) == path), None)
        assert example is not None, path
        build_app().parse_args(example, exit_on_error=False, print_error=False)


def test_options_named_in_sentences_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for path in paths_of_commands(build_app()):
        call([*path, "--help"])
    options = set(re.findall(r"--[a-z][a-z0-9-]+", capsys.readouterr().out)) | {"--help"}
    named = {code.split()[0] for page in PAGES for code in inline(page) if code.startswith("--")}
    assert named
    assert named <= options


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in LINK.findall(page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.slow
def test_the_seventh_model_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_data: Path
) -> None:
    page = ROOT / "docs" / "models.md"
    file, registration = fences(page, "python", "Your own model")
    (tmp_path / "dilated.py").write_text(file, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "MODELS", copy(registry.MODELS))
    exec(registration, {})  # noqa: S102 - our own page
    assert registry.title_of("cnn-dilated") == "CNN dilated"
    assert sum(p.numel() for p in registry.lookup_network("cnn-dilated").build().parameters()) > 0
    train, evaluate = (
        w for w in commands(page, "Your own model") if any("cnn-dilated" in each for each in w)
    )
    call([*train, "--epochs", "1"])
    call(evaluate)
    metrics = json.loads((tmp_path / "runs/cnn-dilated/metrics.json").read_text("utf-8"))
    assert metrics["model"] == "dilated.py:CNNDilated"
    assert metrics["epochs"] == 1
    assert metrics["parts"]["held_out"]["accuracy"] > 0.25  # one class in five is 0.2
    assert_described(tmp_path / "runs/cnn-dilated")


def assert_described(run: Path) -> None:
    """Each file of a run and each key in it is named in the page on run folders."""
    named = set(inline(ROOT / "docs" / "reference.md", "Run folders"))
    files = {str(file.relative_to(run)) for file in run.rglob("*") if file.is_file()}
    files -= {name for name in files if name.startswith("simple/")}  # a run too
    assert files <= named
    records = [json.loads((run / f"{name}.json").read_text("utf-8")) for name in KEYED]
    records += [json.loads((run / "history.jsonl").read_text("utf-8").splitlines()[0])]
    records += [records[0]["parts"]["held_out"], records[0]["data"]]
    keys = {key for record in records for key in record if key != "proof"}
    assert keys <= named, keys - named


def rows(settings: type[BaseModel]) -> list[str]:
    """The lines of a table: each setting with its option, its default and its sentence."""
    named = options(settings)
    found = []
    for name, field in settings.model_fields.items():
        option = f"`{named[name]}`" if name in named else ""
        default = field.get_default(call_default_factory=True)
        shown = {None: "", (): "", "": ""}.get(default, f"`{json.dumps(default)}`")
        found.append(f"| `{name}` | {option} | {shown} | {field.description} |")
    return found


@pytest.mark.parametrize("settings", [TrainingSettings, CohortSettings, SignalSettings])
def test_the_table_of_settings_is_that_of_the_settings(settings: type[BaseModel]) -> None:
    page = (ROOT / "docs" / "reference.md").read_text("utf-8")
    expected = "\n".join(["| setting | option | default | |", "|---|---|---|---|", *rows(settings)])
    assert f"\n{expected}\n\n" in page, expected


def test_several_processes_script_runs_in_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_data: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (script,) = fences(ROOT / "docs" / "models.md", "python", "GPUs and several processes")
    (tmp_path / "several.py").write_text(script, "utf-8")
    runpy.run_path(str(tmp_path / "several.py"))
    first, *lines = capsys.readouterr().out.splitlines()
    assert first in {"best epoch: 1", "best epoch: 2"}
    assert [json.loads(line)["epoch"] for line in lines] == [1, 1, 2, 2]
