"""Small real runs behind HTTP."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient
from tests.conftest import Once

from sequela.config import Options
from sequela.datasets.catalog import Recording
from sequela.runs import fit
from sequela.runs.folder import RunFolder
from sequela.serving import load
from sequela.serving.served_model import ServedModel
from sequela.studies.settings import run_settings
from sequela.web.app import Service, application
from sequela.web.guards import Limits
from sequela.web.server import Address

SAID = {"sfreq": 173.61, "unit": "uV"}


@pytest.fixture(scope="session")
def eeg_run(run: Path) -> RunFolder:
    """A network on the recordings of the package."""
    return RunFolder(run)


@pytest.fixture(scope="session")
def visits_run(excerpt_events: Callable[[str], Path], once: Once) -> RunFolder:
    """A GRU on coded visits."""
    options = Options.of(task="in-hospital", epochs=2)
    settings = run_settings("visits-baseline", "mimic3", options)
    fill = lambda out: fit.train(settings, out / "run", root=excerpt_events("mimic3"))  # noqa: E731
    return RunFolder(once("visits", fill) / "run")


@pytest.fixture(scope="session")
def eeg(eeg_run: RunFolder) -> ServedModel:
    return load(eeg_run.path)


@pytest.fixture(scope="session")
def visits(visits_run: RunFolder) -> ServedModel:
    return load(visits_run.path)


@contextmanager
def client(model: ServedModel, limits: Limits | None = None, **said: Any) -> Iterator[TestClient]:
    """A client of a server that runs as long."""
    app = application(Service(model, limits or Limits()), **said)
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture(scope="session")
def asked(eeg: ServedModel) -> Iterator[TestClient]:
    with client(eeg) as opened:
        yield opened


@pytest.fixture(scope="session")
def asked_of_visits(visits: ServedModel) -> Iterator[TestClient]:
    with client(visits) as opened:
        yield opened


@pytest.fixture(scope="session")
def segment(excerpt: dict[str, Recording]) -> list[float]:
    """178 samples of a seizure."""
    values: list[float] = (
        next(r for i, r in excerpt.items() if i[0] == "S").signal[0, :178].tolist()
    )
    return values


@pytest.fixture(scope="session")
def patient(visits: ServedModel) -> dict[str, Any]:
    """Two visits with codes that the model knows, and one that it does not."""
    words = [word for word in visits.about["records"]["vocabulary"] if word.startswith("ICD9")]
    first = {"time": "2101-01-03", "codes": words[:3]}
    second = {"time": "2101-06-01T12:00", "codes": [*words[2:5], "ICD9CM//9999"]}
    return {"id": "A", "time": "2101-06-02", "visits": [first, second]}


@pytest.fixture(scope="session")
def running() -> Callable[..., Any]:
    """A server in a thread, for browsers and schemathesis; gives its address."""

    @contextmanager
    def serve(model: ServedModel, **settings: Any) -> Iterator[str]:
        listening = Address(port=0).listen()
        app = application(Service(model, Limits()), **settings)
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()
            listening.close()

    return serve


def body(signal: Any, **changes: Any) -> bytes:
    """JSON of one segment."""
    return json.dumps({"signal": signal, **SAID, **changes}).encode()


def problem(reply: Any, status: int) -> str:
    """The sentence of a problem document."""
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    said = reply.json()
    assert (said["type"], said["status"]) == ("about:blank", status)
    detail: str = said["detail"]
    assert "\n" not in detail
    assert "/tmp" not in detail  # noqa: S108 - where the model lies is nobody's business
    return detail
