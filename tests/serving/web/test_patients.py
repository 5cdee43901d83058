"""Patients as JSON: the model says what its run said of the same record."""

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.serving.web.conftest import client, problem

from sequela.cohort.attributes import FAMILIES
from sequela.config import Options, RunSettings
from sequela.runs import fit, records
from sequela.sequences.flat import Sequences
from sequela.serving import load
from sequela.serving.served_model import ServedModel
from sequela.studies.settings import run_settings
from sequela.web.guards import Limits

CASES: dict[str, Callable[[], RunSettings]] = {
    "visits": lambda: run_settings("visits-baseline", "mimic3", Options.of(epochs=2)),
    "attention": lambda: run_settings(
        "visits-attention", "mimic3", Options.of(icd_digits=0, epochs=2)
    ),
    "values": lambda: run_settings(
        "values-lstm", "physionet2012", Options.of(epochs=1, refit=False)
    ),
    "counts": lambda: run_settings("boosting", "eicu"),
}


def as_json(sequences: Sequences, row: int) -> dict[str, Any]:
    """An example as a person would write it down: each step as a visit."""
    visits = []
    measured = set(sequences.channel_names)
    sexes, first = [], sequences.step_offsets[row]
    bins = sequences.header["settings"]["bins"]
    for place, codes in enumerate(sequences.codes_of(row)):
        step = first + place
        some = slice(*sequences.value_offsets[step : step + 2])
        names = [sequences.channel_names[i] for i in sequences.channels[some]]
        again: list[dict[str, float]] = [{}]  # what was measured twice stands in a further entry
        for code, value in zip(names, sequences.values[some].tolist(), strict=True):
            where = next((each for each in again if code not in each), None)
            if where is None:
                again.append(where := {})
            where[code] = value
        own = [code.rpartition("//Q")[0] if bins and "//Q" in code else code for code in codes]
        sexes += [code for code in own if code.startswith(f"{FAMILIES['sex']}//")]
        left = [c for c in own if c not in measured and c not in sexes and c[:5] != "AGE//"]
        time = str(sequences.step_time[step])
        visits.append({"time": time, "codes": left, "values": again[0]})
        visits += [{"time": time, "codes": [], "values": each} for each in again[1:]]
    age = float(sequences.age[row])
    return {
        "id": str(row),
        "time": str(sequences.prediction_time[row]),
        "age": None if np.isnan(age) else age,
        "static": sexes,
        "visits": visits,
    }


@pytest.mark.slow(but="visits")
@pytest.mark.parametrize("name", CASES)
def test_patients_get_the_probabilities_of_the_run(
    name: str, challenge: Path, excerpt_events: Callable[[str], Path], tmp_path: Path
) -> None:
    settings = CASES[name]()
    root = challenge if name == "values" else excerpt_events(settings.data)
    run = fit.train(settings, tmp_path / "run", root=root, work=tmp_path / "work")
    data = records.load(settings, root, tmp_path / "work")
    sequences = data.arrays
    # What the run says of its tuning part was said before a refit.
    records_of = np.flatnonzero(run.predictions.split != "tuning").tolist()
    known = (r for r in records_of if not any("UNKNOWN" in c for c in sequences.codes_of(r)))
    rows = list(islice(known, 20))
    assert len(rows) >= 5
    said = {"patients": [as_json(sequences, row) for row in rows]}
    with client(load(run.path)) as asked:
        reply = asked.post(
            "/v1/predict", content=json.dumps(said), headers={"content-type": "application/json"}
        )
    assert reply.status_code == 200, reply.text
    found = [[*each["probabilities"].values()] for each in reply.json()["predictions"]]
    expected = run.predictions.probabilities[rows]
    assert np.array(found) == pytest.approx(expected, abs=1e-5)


def ask(asked: TestClient, said: Any, path: str = "predict", kind: str = "application/json") -> Any:
    content = said if isinstance(said, (bytes, str)) else json.dumps(said)
    return asked.post(f"/v1/{path}", content=content, headers={"content-type": kind})


def test_unknown_codes_are_named(asked_of_visits: TestClient, patient: dict[str, Any]) -> None:
    (one,) = ask(asked_of_visits, patient).json()["predictions"]
    assert one["id"] == "A"
    assert one["unknown_codes"] == ["ICD9CM//9999"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        *(
            ({"visits": [{"time": time}]}, "a time is missing or cannot be read")
            for time in (
                *("", "soon", "20200601", "2020-06", "2020-06-01T12:00Z"),
                *("2020-06-01T12", "\u0662020-06-01", "2020-02-30"),
            )
        ),
        ({"visits": []}, "visits: List should have at least 1"),
        ({"visits": [{"time": "2020-01-02"}], "time": "2020-01-01"}, "is after the time of the"),
        ({"visits": [{"time": "2020-01-01", "codes": 3}]}, "visits.0.codes"),
        ({"visits": [{"time": "2020-01-01"}], "age": 500}, "age"),
        ({"visit": []}, "visits: Field required"),
        ({"patients": []}, "patients: List should have at least 1"),
        ([], "patients.0: Input should be a valid dictionary"),
        ({"patients": 3}, "patients: Input should be a valid list"),
        ("x", "not JSON"),
    ],
)
def test_a_bad_patient_is_a_problem(said: Any, message: str, asked_of_visits: TestClient) -> None:
    assert message in problem(ask(asked_of_visits, said), 422)


def test_an_id_that_is_there_twice_is_refused(asked_of_visits: TestClient) -> None:
    two = [{"id": "2", "visits": [{"time": "2020-01-01"}]}, {"visits": [{"time": "2020-01-01"}]}]
    assert "the id 2 is there twice" in problem(ask(asked_of_visits, {"patients": two}), 422)


def test_codes_of_unknown_families_are_returned_and_most_of_them_refused(
    asked_of_visits: TestClient, patient: dict[str, Any]
) -> None:
    known = patient["visits"][0]["codes"]
    strange = ["icd9cm//4280", "4280"]
    visit = {"time": "2101-01-03", "codes": [*known, *strange], "values": {"HR": 80}}
    reply = ask(asked_of_visits, {"visits": [{**visit, "codes": [*visit["codes"], "LAB//1"]}]})
    (one,) = reply.json()["predictions"]
    assert one["unknown_codes"] == [*strange, "HR"]
    assert reply.json()["notes"] == ["Left out: 1 code that the model does not read (LAB)."]
    static = ask(asked_of_visits, {"static": ["sex=F"], "visits": [{**visit, "values": {}}]})
    assert static.json()["predictions"][0]["unknown_codes"] == [*strange, "sex=F"]
    said = problem(ask(asked_of_visits, {"visits": [{**visit, "codes": strange}]}), 422)
    assert "3 of 3 codes are of no known family, such as icd9cm//4280" in said


def test_entries_of_one_time_are_one_visit(
    asked_of_visits: TestClient, patient: dict[str, Any]
) -> None:
    first, second = patient["visits"]
    parts = [{**first, "codes": [code]} for code in first["codes"]]
    found = ask(asked_of_visits, {**patient, "visits": [*parts, *parts, second]}).json()[
        "predictions"
    ]
    assert found == ask(asked_of_visits, patient).json()["predictions"]


def test_patients_that_differ_much_are_refused(visits: ServedModel, patient: Any) -> None:
    short = {"visits": [{"time": "2101-01-01"}]}
    times = [f"2101-01-03T{minute // 60:02d}:{minute % 60:02d}" for minute in range(300)]
    long = {"visits": [{**patient["visits"][0], "time": time} for time in times]}
    with client(visits, Limits(bytes=600_000)) as asked:
        said = problem(ask(asked, {"patients": [long, *[short] * 999]}), 422)
    assert "1,000 patients need 900,000 numbers after padding: expected 600,000" in said


def test_a_recording_is_no_patient(asked_of_visits: TestClient) -> None:
    for kind in ("application/edf", "text/csv"):
        said = problem(ask(asked_of_visits, b"0", kind=kind), 415)
        assert said == f"the media type is {kind}: expected one of application/json"
