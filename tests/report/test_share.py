"""What may leave the building is written after it was searched."""

import base64
import gzip
import io
import json
import re
import shutil
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path

import pytest

from sequela.audit.finding import Code, Finding
from sequela.errors import OutputError, RunError, SettingError
from sequela.figures.registry import RUN_FIGURES
from sequela.report import share as sharing
from sequela.report.share import parts_of, share
from sequela.runs.find import Run
from sequela.runs.folder import RunFolder
from sequela.runs.manifest import seal
from sequela.runs.released import Released


def test_a_shared_run_holds_no_internal_file(shared_records: Path, record_runs: list[Run]) -> None:
    assert sorted(each.name for each in shared_records.iterdir()) == [
        "card.md",
        "cost.json",
        "environment.json",
        "history.jsonl",
        "left-out.txt",
        "numbers.json",
        "report.html",
    ]
    numbers = json.loads((shared_records / "numbers.json").read_text("utf-8"))
    assert numbers["smallest_cell"] == 10
    assert not any(
        0 < row["training_subjects"] < 10 for row in numbers["data"]["sequences"]["frequent"]
    )
    assert [each.name for each in shared_records.parent.iterdir()] == ["out"]
    with pytest.raises(OutputError, match="exists already"):
        share(record_runs[0], shared_records)


def test_folds_and_public_recordings_are_shared(
    shared_folds: Path, shared_recordings: Path
) -> None:
    names = [each.name for each in shared_folds.iterdir()]
    assert len(names) == 6
    assert "left-out.txt" in names
    assert (shared_recordings / "model.safetensors").exists()
    numbers = json.loads((shared_recordings / "numbers.json").read_text("utf-8"))
    assert numbers["test"]["confusion"] is not None


def test_epochs_that_give_a_small_count_away_are_shared_without_metrics(
    record_runs: list[Run], small_runs: list[RunFolder], tmp_path: Path
) -> None:
    run = record_runs[0].first
    assert run.history[0].metrics
    assert Released(run, hide_below=1).history == run.history
    few = Released(run, hide_below=10**6)
    assert [each.metrics for each in few.history] == [{}] * len(run.history)
    assert [each.loss for each in few.history] == [each.loss for each in run.history]
    assert RUN_FIGURES["accuracy"].draw(few) is None
    assert RUN_FIGURES["loss"].draw(few) is not None
    assert Released(small_runs[0], hide_below=10**6).history == small_runs[0].history


@pytest.mark.parametrize("planted", ["an id", "a name", "a count"])
def test_what_must_not_be_shown_is_left_out(
    record_runs: list[Run],
    shared_records: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    planted: str,
) -> None:
    run = record_runs[0]
    monkeypatch.setattr(sharing, "_names_of_few", lambda *_: re.compile(b"Mrs Vogel"))

    def also(run: Run, out: Path, _: int) -> list[str]:
        shutil.copytree(shared_records, out, dirs_exist_ok=True)
        if planted == "an id":
            hidden = zlib.compress(b"see " + str(run.predictions.subject_id[0]).encode())
            (out / "a.svg").write_bytes(b"data:;base64," + base64.b64encode(hidden))
        elif planted == "a name":
            (out / "a.json.gz").write_bytes(gzip.compress(b'{"who": "Mrs Vogel"}'))
        else:
            numbers = json.loads((out / "numbers.json").read_text("utf-8"))
            numbers["data"]["flow"]["steps"][0]["removed"] = 3
            (out / "numbers.json").write_text(json.dumps(numbers), "utf-8")
        (out / "left-out.txt").unlink(missing_ok=True)
        return []

    monkeypatch.setattr(sharing, "_write", also)
    files, lines = share(run, tmp_path / "out")
    name = {"an id": "a.svg", "a name": "a.json.gz", "a count": "numbers.json"}[planted]
    assert [line.split(":")[0] for line in lines] == [name]
    assert sorted(files) == sorted((tmp_path / "out").iterdir())
    assert {*(each.name for each in shared_records.iterdir()), "left-out.txt"} - {name} == {
        each.name for each in files
    }
    assert (tmp_path / "out" / "left-out.txt").read_text("utf-8") == f"{lines[0]}\n"
    assert str(run.predictions.subject_id[0]) not in lines[0]
    assert "Mrs Vogel" not in lines[0]
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


@pytest.fixture
def with_a_code(record_runs: list[Run], tmp_path: Path) -> RunFolder:
    """A run whose audit names a code of 18 subjects, 4 of them in the training part."""
    copy = tmp_path / "run"
    shutil.copytree(record_runs[6].first.path, copy)
    metrics = json.loads((copy / "metrics.json").read_text("utf-8"))
    row = {"code": "ICD//Q88.1", "training_subjects": 4}
    metrics["data"]["sequences"]["frequent"].append(row)
    for check, numbers in (
        ("codes that tell the outcome", {"shares": ((18, 54), (0, 106))}),
        ("columns that reveal the outcome", {"auroc": 0.907}),
    ):
        facts = {"how": "its presence alone predicts", "name": "died", "least": 0.8}
        codes = (Code("ICD//Q88.1", 18, **numbers),)
        finding = Finding(check, "suspicion", facts=facts, codes=codes)
        metrics["suspicions"].append(asdict(finding))
    (copy / "metrics.json").write_text(json.dumps(metrics), "utf-8")
    seal(copy)
    return RunFolder(copy)


def test_a_code_is_named_if_enough_have_it_wherever_they_are(
    with_a_code: RunFolder, tmp_path: Path
) -> None:
    share(with_a_code, tmp_path / "ten")
    for name in ("card.md", "report.html", "numbers.json"):
        assert "ICD//Q88.1 (in 18 of 54" in (tmp_path / "ten" / name).read_text("utf-8")
        assert "in 18 subjects" not in (tmp_path / "ten" / name).read_text("utf-8")
    share(with_a_code, tmp_path / "twenty", hide_below=20)
    for name in ("card.md", "report.html", "numbers.json"):
        text = (tmp_path / "twenty" / name).read_text("utf-8")
        assert "Q88.1" not in text
        assert "a code of fewer than 20 subjects (in fewer than 20 of 54 and 0 of 106)" in text


def test_the_search_refuses_a_code_of_few_that_the_audit_names(
    with_a_code: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Code, "in_words", lambda code, _: code.name)
    with pytest.raises(
        RunError, match=r"can be published: .*a name that fewer than 20 people have"
    ):
        share(with_a_code, tmp_path / "out", hide_below=20)
    assert not (tmp_path / "out").exists()


def test_weights_are_shared_only_with_a_vocabulary_of_many(
    record_runs: list[Run], tmp_path: Path
) -> None:
    (rare,) = {
        run.path: run
        for run in record_runs
        if run.settings.data == "mimic3" and run.settings.model == "visits-improved"
    }.values()
    assert rare.data["sequences"]["settings"]["min_subjects"] < 10
    with pytest.raises(SettingError, match="each fold has its own model"):
        share(record_runs[-1], tmp_path / "out", model=True)
    assert list(tmp_path.iterdir()) == []
    files, lines = share(rare, tmp_path / "out", model=True)
    assert "model.safetensors" not in [each.name for each in files]
    assert "train it with --min-subjects 10 to share it" in lines[0]


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    sum_ = zlib.crc32(kind + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + kind + data + sum_


@pytest.mark.parametrize(
    "text",
    [
        chunk(b"tEXt", b"Comment\0a needle"),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a needle" * 9)),
        chunk(b"iTXt", b"Comment\0\1\0en\0\0" + zlib.compress(b"a needle" * 9)),
    ],
)
def test_the_texts_of_a_picture_are_searched(text: bytes) -> None:
    header = chunk(b"IHDR", bytes([0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]))
    pixels = chunk(b"IDAT", zlib.compress(b"\0\0"))
    picture = b"\x89PNG\r\n\x1a\n" + header + pixels + text + chunk(b"IEND", b"")
    assert any(b"needle" in part for part in parts_of(picture))


def test_whatever_is_packed_is_searched() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("inner.txt", "needle")
    packed = base64.b64encode(gzip.compress(archive.getvalue()))
    for content in (packed, b"%6eeedle", zlib.compress(b"a needle" * 9)):
        assert any(b"needle" in part for part in parts_of(content))
