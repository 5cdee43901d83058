"""The typed record of a run, as its file has it."""

import json
from typing import Any

import pytest
from tests.runs.conftest import Train
from tests.runs.folders import short

from sequela.disclosure import as_json
from sequela.errors import RunError
from sequela.runs.folder import METRICS, RunFolder
from sequela.runs.record import RunRecord


@pytest.fixture
def run(trained: Train) -> RunFolder:
    return trained(short())


@pytest.fixture
def content(run: RunFolder) -> dict[str, Any]:
    return run.json(METRICS)


def test_a_record_is_written_as_it_was_read(run: RunFolder, content: dict[str, Any]) -> None:
    """Also with what a newer version wrote."""
    later = {"later": [{"z": 1, "a": None}], **content}
    later["data"] = {"of": {"what": 2}, **content["data"], "items": []}
    later["parts"] = {**content["parts"], "another": {}}
    found = RunRecord.of(run.path / METRICS, later)
    assert json.dumps(as_json(found)) == json.dumps(later)
    assert found == later
    assert found.data["items"] == []
    assert found.data.classes == run.data.classes


def test_a_whole_number_stays_one(run: RunFolder) -> None:
    assert str(run.facts.epochs) == str(run.settings.training.epochs)
    assert list(run.facts)[:3] == ["train_seconds", "epochs", "best_epoch"]


def test_what_an_earlier_version_did_not_write_is_not_there(
    run: RunFolder, content: dict[str, Any]
) -> None:
    del content["memory_bytes"]
    found = RunRecord.of(run.path / METRICS, content)
    assert found.memory_bytes is None
    assert "memory_bytes" not in found
    with pytest.raises(KeyError):
        found["memory_bytes"]
    with pytest.raises(KeyError):
        found["replace"]


def test_a_changed_copy_keeps_the_order(run: RunFolder) -> None:
    found = run.test.replace(groups=0, new=1)
    assert list(found) == [*run.test, "new"]
    assert (found.groups, found["new"]) == (0, 1)
    assert run.test.groups > 0


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [("epochs", "8", "epochs: "), ("parts", {"train": {}}, r"parts\.train\.")],
)
def test_a_wrong_value_is_named(
    run: RunFolder, content: dict[str, Any], name: str, value: object, where: str
) -> None:
    with pytest.raises(RunError, match=rf"metrics\.json: damaged \({where}.*put the original back"):
        RunRecord.of(run.path / METRICS, content | {name: value})
