"""A run folder of a stranger runs nothing, and leads nowhere else."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.canaries import called
from tests.runs.conftest import Ask, Place, Train

from sequela.cli.app import main
from sequela.models import stored
from sequela.runs.manifest import seal

CODE = """
import pathlib
import torch
pathlib.Path({touched!r}).write_text("ran")
class Evil(torch.nn.Module):
    def __init__(self, **sizes):
        super().__init__()
"""


@pytest.fixture
def stranger(tmp_path: Path, trained: Train, asked: Ask) -> Path:
    """A copy of a run."""
    return Path(shutil.copytree(trained(asked()).path, tmp_path / "stranger"))


def _names_code(run: Path, where: str, *, config: bool = True, header: bool = True) -> None:
    if header:
        said, tensors = stored.read(run / "model.safetensors")
        stored.write(run / "model.safetensors", tensors, {**said, "model": where})
    if config:
        for name in ("config.toml", "metrics.json"):
            text = (run / name).read_text("utf-8")
            (run / name).write_text(text.replace("visits-baseline", where), "utf-8")
    seal(run)


@pytest.mark.parametrize("kind", ["file", "module"])
@pytest.mark.parametrize("command", ["evaluate", "explain"])
def test_a_class_that_a_run_names_is_not_imported(
    stranger: Path,
    place: Place,
    tmp_path: Path,
    kind: str,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    touched = tmp_path / "touched"
    (tmp_path / "evil.py").write_text(CODE.format(touched=str(touched)), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    _names_code(stranger, f"{tmp_path / 'evil.py'}:Evil" if kind == "file" else "evil:Evil")
    words = {
        "evaluate": ("evaluate", stranger, "--data", "mimic3"),
        "explain": ("explain", stranger),
    }[command]
    asked = (*words, "--root", place("mimic3"))
    assert called(main, *asked) == 2
    said = capsys.readouterr().err
    assert "would run code" in " ".join(said.split())
    assert said.count("\n") == 1
    assert not touched.exists()
    called(main, *asked, "--trust-code")
    assert touched.exists()


def test_a_model_file_cannot_name_another_model(
    stranger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    touched = tmp_path / "touched"
    (tmp_path / "evil.py").write_text(CODE.format(touched=str(touched)), "utf-8")
    _names_code(stranger, f"{tmp_path / 'evil.py'}:Evil", config=False)
    assert called(main, "explain", stranger, "--trust-code") == 2
    assert "the run has 'visits-baseline'" in capsys.readouterr().err
    assert not touched.exists()


@pytest.mark.parametrize("name", ["../stranger", "/etc", "fold-00/../..", "seed-00\n", 7])
def test_folds_cannot_name_a_folder_elsewhere(
    tmp_path: Path, name: object, folds_record: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folds = tmp_path / "folds"
    folds.mkdir()
    (folds / "folds.json").write_text(json.dumps(folds_record | {"runs": [name]}), "utf-8")
    seal(folds)
    for command in ("report", "verify", "card"):
        assert called(main, command, folds) == 2
        said = capsys.readouterr()
        where = said.out if command == "verify" else said.err
        assert "expected names such as fold-00" in " ".join(where.split())


def test_a_run_may_itself_be_reached_by_a_link(stranger: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(stranger)
    assert called(main, "card", tmp_path / "latest", "--out", tmp_path / "card.md") == 0


def test_internal_files_say_so(stranger: Path) -> None:
    assert "sequela share" in (stranger / "INTERNAL.md").read_text("utf-8")
    for name in ("predictions.parquet", "attributes.parquet", "split.json", "metrics.json"):
        assert b"internal: holds data of single people" in (stranger / name).read_bytes()
    assert "internal" in stored.read(stranger / "model.safetensors")[0]
