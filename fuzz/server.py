"""Send what the server's OpenAPI document allows and forbids, as schemathesis draws it.

    python -m fuzz.server [--inputs 5000] [signal records]

Trains a small model on the recordings and one on the hospital records of the package, serves each,
and sends requests to every path: half of them as the document allows, half as it forbids. A fault
is an internal error, a status or media type that the document does not name, a response that does
not have its schema, or no response. The exit status is 1 if there is a fault.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sequela.config import RunSettings, TrainingSettings
from sequela.datasets.catalog import EXCERPTS
from sequela.runs import fit
from sequela.serving.served import ServedModel, load
from sequela.studies.settings import run_settings
from sequela.web.app import Service, application
from sequela.web.guards import Limits
from sequela.web.server import Place

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


def signal(work: Path) -> ServedModel:
    """A network on the recordings of the package."""
    run = RunSettings(model="mlp-improved", data="bonn", training=TrainingSettings(epochs=1))
    return load(fit.train(run, work / "signal", root=EXCERPTS / "bonn.parquet").path)


def records(work: Path) -> ServedModel:
    """A network on the coded visits of the package."""
    asked = {"task": "in-hospital"}
    run = run_settings("visits-baseline", "mimic3", records=asked, training={"epochs": 1})
    return load(fit.train(run, work / "records", root=EXCERPTS / "mimic3").path)


MODELS: dict[str, Callable[[Path], ServedModel]] = {"signal": signal, "records": records}


@contextmanager
def running(model: ServedModel, **said: Any) -> Iterator[str]:
    """A server in a thread; gives its address."""
    opened = Place(port=0).listen()
    app = application(Service(model, Limits()), **said)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{opened.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
        opened.close()


def ask_all(address: str, examples: int = 10) -> dict[str, int]:
    """Ask all operations of a server; how often each was asked."""
    schema = schemathesis.openapi.from_url(f"{address}openapi.json")
    asked: dict[str, int] = {}
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        for mode in MODES if operation.method == "post" else MODES[:1]:  # what takes nothing
            count = _ask(operation.as_strategy(generation_mode=mode), examples)
            asked[operation.path] = asked.get(operation.path, 0) + count
    return asked


def _ask(cases: Any, examples: int) -> int:
    count = 0

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=cases)
    def ask(case: Any) -> None:
        nonlocal count
        count += 1
        case.call_and_validate(checks=CHECKS, timeout=30)

    ask()
    return count


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.server", description=__doc__[:80])
    parser.add_argument("kinds", nargs="*", help=f"of: {', '.join(MODELS)}")
    parser.add_argument("--inputs", type=int, default=5000, help="of each model")
    given_ = parser.parse_args()
    for kind in given_.kinds or MODELS:
        with TemporaryDirectory() as name, running(MODELS[kind](Path(name))) as address:
            asked = ask_all(address, given_.inputs // 6)  # three paths, allowed and forbidden
        counts = ", ".join(f"{count:,} to {path}" for path, count in asked.items())
        print(f"{kind}: {sum(asked.values()):,} requests ({counts}), no fault", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
