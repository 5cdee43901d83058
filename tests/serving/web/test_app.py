"""The HTTP interface: each body gives the probabilities of the run, each bad one a problem."""

import io
import json
import time
import tracemalloc
from typing import Any

import edfio
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import resample_poly
from starlette.testclient import TestClient
from tests.serving.web.conftest import SAID, body, client, problem

from sequela.datasets.catalog import Recording
from sequela.runs.folder import RunFolder
from sequela.serving.served_model import ServedModel
from sequela.web.app import Service, application
from sequela.web.guards import Limits
from sequela.web.schemas import BINARY, CSV, EDF, JSON

TOKEN = "s3cret-s3cret-s3"  # noqa: S105
QUERY = "?sfreq=173.61&unit=uV"


def post(asked: TestClient, content: bytes, kind: str = JSON, path: str = "/v1/predict") -> Any:
    return asked.post(path, content=content, headers={"content-type": kind})


def chances(reply: Any) -> np.ndarray[Any, Any]:
    assert reply.status_code == 200, reply.text
    return np.array([[*each["probabilities"].values()] for each in reply.json()["predictions"]])


def edf(signal: NDArray[np.float64], rate: float, **how: Any) -> bytes:
    written = io.BytesIO()
    made = edfio.EdfSignal(signal, rate, label="EEG", physical_dimension="uV")
    edfio.Edf([made], **how).write(written)
    return written.getvalue()


def test_each_body_gives_the_probabilities_of_the_run(
    asked: TestClient, eeg_run: RunFolder, excerpt: dict[str, Recording]
) -> None:
    known = eeg_run.predictions
    assert known.recording_id is not None
    name = next(each for each in known.recording_id.tolist() if each[0] == "S")
    rows = np.flatnonzero(known.recording_id == name)
    expected = known.probabilities[rows]
    signal = excerpt[name].signal[0, : 178 * len(rows)].reshape(-1, 178)
    several = {"examples": [{"signal": each.tolist()} for each in signal], **SAID}
    assert chances(post(asked, body(signal[0].tolist()))) == pytest.approx(expected[:1], abs=1e-5)
    for content, kind in (
        (json.dumps(several).encode(), JSON),
        (signal.astype("<f4").tobytes(), BINARY),
        ("\n".join(str(value) for value in signal.ravel()).encode(), CSV),
        ("\n".join(",".join(map(str, row)) for row in signal).encode(), CSV),
    ):
        found = chances(post(asked, content, kind, f"/v1/predict{QUERY}"))
        assert found == pytest.approx(expected, abs=1e-5), kind


def test_an_edf_file_is_resampled_and_says_so(
    asked: TestClient, excerpt: dict[str, Recording]
) -> None:
    signal = next(r for i, r in excerpt.items() if i[0] == "S").signal[0]
    whole = edf(resample_poly(signal, 3, 2)[: 260 * 20].astype(np.float64), 260.0)
    reply = post(asked, whole, EDF)
    assert "Resampled from 260 Hz to 173.61 Hz." in reply.json()["notes"][0]
    assert {each["prediction"] for each in reply.json()["predictions"]} == {"seizure"}
    assert "cut short" in problem(post(asked, whole[:-500], EDF), 422)
    assert problem(post(asked, b"0       " + whole[8:200], EDF), 422)


def test_an_edf_file_with_gaps_is_refused(asked: TestClient) -> None:
    whole = edf(np.arange(512.0), 256.0, annotations=[])
    apart = whole.replace(b"EDF+C", b"EDF+D").replace(b"+1\x14\x14", b"+8\x14\x14")
    said = problem(post(asked, apart, EDF), 422)
    assert said == "the file has gaps in time: expected none; use sequela scan"
    assert "has gaps" not in post(asked, whole, EDF).text


def test_an_edf_file_of_an_unusual_rate_is_refused(asked: TestClient) -> None:
    signal = np.sin(np.arange(20_000))
    for rate, seconds, said in (
        (500_000.0, 0.02, "has 500000 Hz, which cannot be resampled to 173.61 Hz"),
        (0.01, 1000, "has 1,950,674 segments: expected 10,000 at most"),
    ):
        whole = edf(signal, rate, data_record_duration=seconds)
        assert said in problem(post(asked, whole, EDF), 422)


def test_an_answer_says_set_model_and_names(
    asked: TestClient, eeg_run: RunFolder, segment: list[float], eeg: ServedModel
) -> None:
    reply = post(asked, body(segment, id="mine")).json()
    (one,) = reply["predictions"]
    assert one["id"] == "mine"
    assert one["prediction"] == max(one["probabilities"], key=one["probabilities"].get)
    inside = eeg.sets(np.array([[*one["probabilities"].values()]], np.float32))[0]
    assert one["set"] == [name for name, each in zip(eeg.classes, inside, strict=True) if each]
    assert reply["model"] == eeg.about["run"]["sha256"]


@pytest.mark.parametrize(
    ("content", "kind", "status", "said"),
    [
        (b"", JSON, 422, "the body is empty"),
        (b"[" * 50_000, JSON, 422, "nests too deeply"),
        (b"{}", JSON, 422, "key signal: Field required"),
        (b'{"signal": [NaN], "sfreq": 173.61, "unit": "uV"}', JSON, 422, "not JSON"),
        (b'{"signal": "abc", "sfreq": 173.61, "unit": "uV"}', JSON, 422, "not a list of numbers"),
        (b'{"signal": [[1, 2], [3]], "sfreq": 173.61, "unit": "uV"}', JSON, 422, "several len"),
        (b'{"signal": [1%s], "sfreq": 173.61, "unit": "uV"}' % (b"0" * 290), JSON, 422, "beyond"),
        (b'{"signal": [1, 2, 3], "sfreq": 173.61, "unit": "uV"}', JSON, 422, "expected 178"),
        (b'{"examples": 3, "sfreq": 173.61, "unit": "uV"}', JSON, 422, "be a valid list"),
        (b"\0" * 10, BINARY, 422, "a multiple of 712"),
        (b"\0\0\xc0\x7f" * 178, BINARY, 422, "not finite"),
        (b"a,b\n1,2\n1,x\n", CSV, 422, "line 3 is not 2 number"),
        (b"\xff\xfe\x00", CSV, 422, "not text in UTF-8"),
        (b"1\n2\n", CSV, 422, "has 2 samples: expected 178"),
        (",".join(f"X{i}" for i in range(178)).encode(), CSV, 422, "names and no numbers"),
        (b"no edf", EDF, 422, "EDF"),
        (b"x", "text/plain", 415, "the media type is text/plain: expected one of"),
        (b"x", "", 415, "the media type is missing"),
    ],
)
def test_a_bad_body_is_a_problem(
    content: bytes, kind: str, status: int, said: str, asked: TestClient
) -> None:
    for path in ("predict", "view"):
        reply = post(asked, content, kind, f"/v1/{path}{QUERY}")
        assert said in problem(reply, status)
    assert asked.get("/health").json()["status"] == "ok"


@pytest.mark.parametrize(
    ("query", "changes", "said"),
    [
        ("", {"sfreq": 256}, "has 256 Hz, but the model reads 173.61 Hz: resample it"),
        ("", {"unit": "mV"}, "is in mV, but the model reads µV"),
        ("", {"unit": ""}, "the unit of the signal is missing: expected unit=µV"),
        ("", {"sfreq": None}, "the sfreq of the signal is missing"),
        ("?sfreq=173.61&sfreq=256", {}, "sfreq is there twice"),
        ("?units=uV", {}, "unknown parameter units"),
        ("?example=0", {}, "unknown parameter example"),
    ],
)
def test_another_rate_unit_or_parameter_is_refused(
    query: str, changes: dict[str, Any], said: str, asked: TestClient, segment: list[float]
) -> None:
    path = f"/v1/predict{query}"
    assert said in problem(post(asked, body(segment, **changes), path=path), 422)


NUMBERS = list(range(178))


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        # csv as pandas writes it
        ("0\n" + "12.5\n" * 178, CSV, "the first line may be a header or a sample"),
        (",0\n" + "".join(f"{i},12.5\n" for i in NUMBERS), CSV, "column 1 has no name"),
        ("a,b,a\n" + "1,2,3\n" * 178, CSV, "the column a is there twice"),
        ("\u0661\n" + "1\n" * 177, CSV, "line 1 is not 1 number"),
        ("nan\n" + "1\n" * 178, CSV, "line 1 is not 1 number"),
        ("EEG\n" + "1\n" * 177 + "1_0\n", CSV, "line 179 is not 1 number"),
        # numbers of another type or byte order
        (np.linspace(-90, 90, 178).astype(">f4").tobytes(), BINARY, "little-endian float32"),
        (np.arange(1, 179).astype("<f8").tobytes(), BINARY, "little-endian float32"),
        # keys that would be ignored
        (json.dumps({"signal": NUMBERS, "sfreqs": 1, **SAID}), JSON, "key sfreqs: Extra inputs"),
        (
            json.dumps({"examples": [{"signal": NUMBERS, "sfreq": 256}], **SAID}),
            JSON,
            "key examples.0.sfreq: Extra inputs are not permitted",
        ),
        (json.dumps({"examples": [{"signal": NUMBERS}], "id": "a", **SAID}), JSON, "key id: Extra"),
        (json.dumps({"signal": NUMBERS, "sfreq": 173.61, "unit": "µV"}), JSON, "address unit=uV"),
        (json.dumps({"signal": NUMBERS, **SAID, "sfreq": "17_3.61"}), JSON, "be a valid number"),
        (
            json.dumps({"signal": NUMBERS, **SAID, "id": [1]}),
            JSON,
            "id.str: Input should be a valid string",
        ),
        (
            json.dumps({"examples": [{"signal": NUMBERS, "id": "2"}, {"signal": NUMBERS}], **SAID}),
            JSON,
            "the id 2 is there twice",
        ),
    ],
)
def test_what_would_be_read_as_other_values_is_refused(
    content: Any, kind: str, said: str, asked: TestClient
) -> None:
    content = content.encode() if isinstance(content, str) else content
    assert said in problem(post(asked, content, kind, f"/v1/predict{QUERY}"), 422)


def test_a_header_of_numbers_is_no_segment(asked: TestClient, segment: list[float]) -> None:
    known = chances(post(asked, body(segment)))
    row = ",".join(map(str, segment))
    for header in (",".join(map(str, NUMBERS)), ",".join(f"X{i}" for i in NUMBERS)):
        table = f"{header}\n{row}\n".encode()
        found = chances(post(asked, table, CSV, f"/v1/predict{QUERY}"))
        assert found == pytest.approx(known, abs=1e-6)
    named = "\n".join(["time,EEG", *(f"{i / 173.61},{x}" for i, x in enumerate(segment))])
    reply = post(asked, named.encode(), CSV, f"/v1/predict{QUERY}")
    assert chances(reply) == pytest.approx(known, abs=1e-6)
    assert reply.json()["notes"] == ["Left out: the column time."]


def test_ids_are_returned_as_they_are(asked: TestClient, segment: list[float]) -> None:
    several = {"examples": [{"id": i, "signal": segment} for i in (0, 1, 2)], **SAID}
    found = post(asked, json.dumps(several).encode()).json()["predictions"]
    assert [each["id"] for each in found] == ["0", "1", "2"]


def test_limits_hold(eeg: ServedModel, segment: list[float]) -> None:
    limits = Limits(bytes=20_000, examples=2)
    three = json.dumps({"examples": [{"signal": segment}] * 3, **SAID}).encode()
    with client(eeg, limits) as asked:
        assert "the body has 3 examples: expected 2" in problem(post(asked, three), 422)
    with client(eeg, limits) as asked:
        assert "more than 20,000 bytes" in problem(post(asked, b" " * 20_001), 413)
        told = iter([b" " * 15_000, b" " * 15_000])  # without a length in its head
        reply = asked.post("/v1/predict", content=told, headers={"content-type": JSON})
        assert "more than 20,000 bytes" in problem(reply, 413)
    with client(eeg, Limits(seconds=1e-6)) as asked:
        assert "timed out after" in problem(post(asked, body(segment)), 503)
    with client(eeg, Limits(waiting=0)) as asked:
        assert "the server is busy" in problem(post(asked, body(segment)), 503)
        assert asked.get("/health").status_code == 200


def test_a_small_body_that_becomes_large_is_refused(eeg: ServedModel) -> None:
    several = {"examples": [{"signal": [0] * 4000}, *[{"signal": [0]}] * 99], **SAID}
    with client(eeg, Limits(bytes=20_000)) as asked:
        assert "20,000 numbers at most" in problem(post(asked, json.dumps(several).encode()), 422)


def test_texts_in_place_of_numbers_take_no_memory(asked: TestClient) -> None:
    texts = ["x" * 5000, *[""] * 5000]  # numpy would give each of them 5,000 characters
    given = body(texts)
    tracemalloc.start()
    try:
        assert "not a list of numbers" in problem(post(asked, given), 422)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_token_is_asked_for(eeg: ServedModel, segment: list[float]) -> None:
    with client(eeg, token=TOKEN) as asked:
        for path in ("/v1/model", "/nowhere"):
            assert "access token is missing" in problem(asked.get(path), 401)
        wrong = {"authorization": "Bearer other", "content-type": JSON}
        assert problem(asked.post("/v1/predict", content=body(segment), headers=wrong), 401)
        right = {**wrong, "authorization": f"Bearer {TOKEN}"}
        assert asked.post("/v1/predict", content=body(segment), headers=right).status_code == 200
        for path in ("/", "/page.js", "/health", "/openapi.json"):
            assert asked.get(path).status_code == 200


def test_another_name_of_the_server_is_refused(eeg: ServedModel) -> None:
    with client(eeg, hosts=frozenset({"localhost"})) as asked:
        assert asked.get("/health", headers={"host": "localhost:8000"}).status_code == 200
        assert problem(asked.get("/health", headers={"host": "evil.example"}), 421)


def test_every_answer_has_the_headers_that_guard_it(asked: TestClient) -> None:
    for path in ("/", "/health", "/nowhere", "/v1/model"):
        headers = asked.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert "unknown path" in problem(asked.get("/nowhere"), 404)
    assert "another method" in problem(asked.get("/v1/predict"), 405)


def test_the_model_tells_what_it_is_and_no_mark_of_anybody(
    asked: TestClient, asked_of_visits: TestClient, eeg_run: RunFolder
) -> None:
    card = asked.get("/v1/model").json()
    assert card["run"]["sha256"]
    assert card["training"]["licence"]
    assert "not a medical device" in card["intended_use"]
    told = asked_of_visits.get("/v1/model").text
    assert "marks" not in told
    assert "ICD9CM//4" not in told


def test_a_recording_has_the_mean_of_its_segments(asked: TestClient, segment: list[float]) -> None:
    whole = "\n".join(map(str, segment * 3)).encode()
    for path in ("predict", "view"):
        reply = post(asked, whole, CSV, f"/v1/{path}{QUERY}")
        found = reply.json()["recording"]
        mean = chances(reply).mean(0)
        assert [*found["probabilities"].values()] == pytest.approx(mean.tolist())
        assert found["probabilities"][found["prediction"]] == pytest.approx(mean.max())
        assert "recording" not in post(asked, body(segment), path=f"/v1/{path}").json()


def test_a_server_that_stops_at_once_leaves_no_process(eeg: ServedModel) -> None:
    services = [Service(eeg, Limits()) for _ in range(3)]
    for service in services:
        with TestClient(application(service)):
            pass
    time.sleep(1)  # in which a late one would have started
    for lane in (lane for service in services for lane in (service.small, service.large)):
        process = lane._process._process
        assert process is None or not process.is_alive()
