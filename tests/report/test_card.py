"""The model card: what the Hub reads, what people read, and what stays open."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData
from tests.approved import assert_approved

from sequela.report.card import build_card
from sequela.runs.find import Run
from sequela.runs.folder import RunFolder
from sequela.runs.manifest import seal


def card_of(run: Run, folder: Path, smallest: int = 10) -> str:
    return build_card(run, folder / "card.md", smallest).read_text("utf-8")


def test_the_hub_reads_the_results_with_their_intervals(cards: list[tuple[Run, str]]) -> None:
    for run, text in cards:
        data = ModelCard(text, ignore_metadata_errors=False).data
        assert isinstance(data, ModelCardData)
        assert data.library_name == "sequela"
        assert (data.license, data.license_name) == ("other", "not-chosen-yet")
        assert data.datasets == [run.settings.data]
        assert data.eval_results is not None
        by_metric = {result.metric_type: result for result in data.eval_results}
        assert list(by_metric) == data.metrics
        two = run.settings.cohort is not None
        assert set(by_metric) == {"accuracy"} | ({"roc_auc", "average_precision"} if two else set())
        accuracy = by_metric["accuracy"]
        assert accuracy.metric_value == run.test["accuracy"]
        assert accuracy.dataset_type == run.settings.data
        if ci := run.test["accuracy_ci"]:
            assert accuracy.metric_args == {"interval": list(ci), "level": 0.95}
            assert f"(95 % interval {ci[0]:.3f} to {ci[1]:.3f})" in str(accuracy.metric_name)


def test_the_card_tells_the_run(record_runs: list[Run], tmp_path: Path) -> None:
    run = record_runs[0]
    text = card_of(run, tmp_path, smallest=1)
    for point in run.test["operating_points"]:
        low, high = point["sensitivity_ci"]
        assert f"| {point['threshold']:.3f} | {point['chosen_for']} |" in text
        assert f"{point['sensitivity']:.3f} ({low:.3f} to {high:.3f})" in text
    assert f"torch {run.environment['torch']}" in text
    assert_approved("card-of-records", text.partition("\n---\n")[2])


def test_small_subgroups_are_hidden(record_runs: list[Run], tmp_path: Path) -> None:
    text = card_of(record_runs[0], tmp_path)
    rows = re.findall(r"^\| (?:sex|age|ethnicity|unit): .*$", text, re.MULTILINE)
    assert rows
    assert re.search(r"are hidden with their names \([1-9]\d* here\)", text)
    for row in rows:
        subjects = row.split("|")[2].strip().replace(",", "")
        assert subjects == "hidden" or int(subjects) >= 10


def test_a_leak_stands_in_bold_before_all_else(
    small_runs: list[RunFolder], record_runs: list[Run], tmp_path: Path
) -> None:
    by_row = card_of(small_runs[-1], tmp_path)
    back = card_of(
        next(r for r in record_runs if r.path.name == "visits-baseline.hindsight"), tmp_path
    )
    for text in (by_row, back):
        _, body = text.split("\n# ", 1)
        assert body.split("\n")[2].startswith("**THIS MODEL LEAKS: ")
        assert "**It found:**" in text


def test_what_only_a_person_knows_is_open(small_runs: list[RunFolder], tmp_path: Path) -> None:
    text = card_of(small_runs[0], tmp_path)
    assert_approved("card-of-signals", text.partition("\n---\n")[2])


def test_every_table_is_whole(
    cards: list[tuple[Run, str]], record_runs: list[Run], tmp_path: Path
) -> None:
    """Each row of a table has as many cells as its head, and a blank line before it."""
    hiding = [card_of(run, tmp_path) for run in (record_runs[0], record_runs[-1])]
    for text in (*hiding, *(text for _, text in cards)):
        lines = text.split("\n")
        for place, line in enumerate(lines):
            if re.fullmatch(r"(\|[-:]+)+\|", line):
                assert lines[place - 2] == "", lines[place - 1]
                cells = line.count("|")
                assert len(re.findall(r"(?<!\\)\|", lines[place - 1])) == cells
                for row in lines[place + 1 :]:
                    if not row.startswith("|"):
                        break
                    assert len(re.findall(r"(?<!\\)\|", row)) == cells, row


def test_neither_model_nor_data_are_needed_and_bytes_are_the_same(
    small_runs: list[RunFolder], record_runs: list[Run], tmp_path: Path
) -> None:
    removed = 0
    for number, run in enumerate((small_runs[0], record_runs[-1])):
        whole, copy = (tmp_path / f"{what}{number}" / run.path.name for what in ("whole", "copy"))
        for each in (whole, copy):  # each with its own log of evaluations
            shutil.copytree(run.path, each)
        first = card_of(type(run)(whole), tmp_path)
        for model in copy.rglob("model.safetensors"):
            model.unlink()
            removed += 1
            seal(model.parent)
        seal(copy)
        assert card_of(type(run)(copy), tmp_path / "again") == first
        assert str(tmp_path) not in first
    assert removed


def test_folders_of_the_machine_are_not_told(small_runs: list[RunFolder], tmp_path: Path) -> None:
    run = small_runs[0]
    root = run.metrics["data"]["origin"].removeprefix("the data under ")
    assert Path(root).is_dir()
    text = card_of(run, tmp_path)
    assert str(Path(root).parent) not in text
    assert f"in folder {Path(root).name}" in text


@pytest.mark.parametrize("sign", ["|", "<script>", "&"])
def test_names_do_not_break_the_card(
    small_runs: list[RunFolder], tmp_path: Path, sign: str
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(small_runs[0].path, copy)
    folder = RunFolder(copy)
    metrics = folder.json("metrics.json")
    metrics["data"]["classes"][0] = f"seizure {sign} or not: #"
    metrics["data"]["question"] = f"is it a seizure {sign} or not: #"
    folder.write("metrics.json", metrics)
    seal(copy)
    text = card_of(RunFolder(copy), tmp_path)
    head = yaml.safe_load(text.split("---\n")[1])
    assert sign in head["model-index"][0]["results"][0]["task"]["name"]
    table = text.split("## Evaluation")[1].split("## Leak audit")[0]
    assert f"seizure {sign} or" not in table
