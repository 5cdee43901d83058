"""What docs/predict.md shows runs, and its tables hold what there is."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.test_docs import fences

from sequela.serving.served_model import ServedModel
from sequela.web.patients import patients_of
from sequela.web.schemas import BINARY, CSV, EDF, JSON

PATH = Path(__file__).parents[3] / "docs" / "predict.md"
PAGE = PATH.read_text("utf-8")


def test_its_python_runs(
    eeg: ServedModel,
    running: Callable[..., Any],
    segment: list[float],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code,) = fences(PATH, "python", "Serving over HTTP")
    with running(eeg) as address:
        exec(code, {"segment": segment, "address": address})  # noqa: S102 - our own page
    assert capsys.readouterr().out == "seizure\n"


def test_its_patient_is_one() -> None:
    (patient,) = patients_of(json.loads(fences(PATH, "json")[0]))
    assert [len(visit.codes) for visit in patient.visits] == [1, 1]


def test_it_names_each_path_and_media_type(asked: TestClient) -> None:
    paths = asked.get("/openapi.json").json()["paths"]
    named = set(re.findall(r"^\| `(?:GET|POST) (\S+)`", PAGE, re.MULTILINE))
    assert named == set(paths)
    assert all(f"| `{kind}` |" in PAGE for kind in (JSON, BINARY, CSV, EDF))


def test_it_names_each_status(asked: TestClient) -> None:
    listed = set(re.findall(r"^\| (\d{3}) \|", PAGE, re.MULTILINE))
    post = asked.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]
    assert listed == {*post["responses"], "404", "405", "500"} - {"200"}
