"""The HTTP application of one model: predictions, explanations, the model's card, and a page."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cached_property
from importlib.resources import files
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from numpy.typing import NDArray
from starlette.exceptions import HTTPException

from sequela.errors import SequelaError
from sequela.serving.served import ServedModel
from sequela.serving.web import occlusion
from sequela.serving.web.batching import Batcher
from sequela.serving.web.bodies import JSON, PARQUET, Bodies, Examples
from sequela.serving.web.described import DESCRIPTION, described
from sequela.serving.web.guards import Guard, Limits, to_json
from sequela.serving.web.metrics import Metrics
from sequela.serving.web.problems import PROBLEM, Refusal, document
from sequela.version import __version__

BATCH = 128
"""Most examples of a batch."""
_DRAWN, _NEAR, _MOST = 2000, 60, 40_000
"""Points of a channel that the page draws, at least of each segment, and at most in all."""
_PAGE = {"/": ("index.html", "text/html"), "/page.css": ("page.css", "text/css")} | {
    "/page.js": ("page.js", "text/javascript")
}


class Service:
    """The functions of the paths of the application.

    Args:
        model: The model.
        limits: See :class:`sequela.serving.web.guards.Limits`.
        batch: Most examples of a batch; 1 for no batches.
    """

    def __init__(self, model: ServedModel, limits: Limits, batch: int = BATCH) -> None:
        model = replace(model, name="the model")  # hides its path
        self.model, self.limits, self.metrics = model, limits, Metrics()
        self.bodies = Bodies(
            model, most=limits.examples, longest=limits.length, numbers=limits.bytes
        )
        self.batcher = Batcher(model, self.metrics, most=batch)

    @cached_property
    def card(self) -> dict[str, Any]:
        """The metadata of the model, without fingerprints and fitted featurisers."""
        about = self.model.about
        told = {n: v for n, v in about.items() if n not in ("fingerprint", "features")}
        if "records" in told:
            records = dict(told["records"])
            told["records"] = {
                **{n: records[n] for n in ("task", "settings", "unknown") if n in records},
                "codes": len(records["vocabulary"]) - 1,
                "channels": len(records["channels"]),
            }
        return {
            **told,
            "fingerprint": about["fingerprint"]["sha256"],
            "serves": {"version": __version__, "media_types": list(self.bodies.kinds)},
        }

    async def read(self, request: Request) -> Examples:
        """Read the examples of a request.

        Raises:
            Refusal: If its media type is not supported.
            SequelaError: If its body does not fit the model.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in self.bodies.kinds:
            raise Refusal(
                415,
                f"the media type is {kind or 'missing'}: expected one of "
                f"{', '.join(self.bodies.kinds)}",
            )
        body = await request.body()
        said = dict(request.query_params)
        if len(body) < _SMALL:
            return self.bodies.read(kind, body, said)
        return await run_in_threadpool(self.bodies.read, kind, body, said)

    async def ask(self, examples: Examples) -> NDArray[np.float32]:
        """Predict probabilities, float32 (example, class)."""
        found = await self.batcher.probabilities(examples.inputs, len(examples))
        self.metrics.examples.inc(len(examples))
        return found

    def answers(self, examples: Examples, found: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Return the prediction for each example."""
        classes, sets = self.model.classes, self.model.sets(found)
        unknown = examples.unknown or [()] * len(examples)
        likeliest = found.argmax(1).tolist()
        rows = zip(examples.ids, likeliest, found.tolist(), sets.tolist(), unknown, strict=True)
        return [
            {
                "id": id_,
                "prediction": classes[place],
                "probabilities": dict(zip(classes, chances, strict=True)),
                "set": [name for name, inside in zip(classes, members, strict=True) if inside],
                **({"unknown_codes": list(codes)} if self.bodies.kinds[1] == PARQUET else {}),
            }
            for id_, place, chances, members, codes in rows
        ]

    async def predict(self, request: Request) -> Response:
        """Handle a request for probabilities of all examples of a body."""
        examples = await self.read(request)
        found = await self.ask(examples)
        if PARQUET in request.headers.get("accept", ""):
            return Response(self._parquet(examples, found), media_type=PARQUET)
        return _json(
            {
                "classes": list(self.model.classes),
                "promised": self.model.about["calibration"]["conformal"]["promised"],
                "model": self.model.about["run"]["sha256"],
                "notes": list(examples.notes),
                "predictions": self.answers(examples, found),
            }
        )

    def _parquet(self, examples: Examples, found: NDArray[np.float32]) -> bytes:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, Any] = {"id": list(examples.ids)}
        columns |= {f"p_{name}": found[:, k] for k, name in enumerate(self.model.classes)}
        written = io.BytesIO()
        pq.write_table(pa.table(columns), written)
        return written.getvalue()

    async def explain(self, request: Request) -> Response:
        """Handle a request to explain the prediction for one example of a body."""
        examples = await self.read(request)
        asked = request.query_params.get("example", "0")
        if not asked.isdecimal() or int(asked[:9]) >= len(examples):
            raise Refusal(422, f"example must be 0 to {len(examples) - 1}")
        row = int(asked[:9])
        before = (await self.ask(_only(examples, row)))[0]
        of = self._class(request.query_params.get("class"), before)
        if examples.patients:
            others, parts = occlusion.without_codes(examples.patients[row])
            inputs = self.bodies.read_patients(others) if others else None
        else:
            inputs, parts = occlusion.without_pieces(_only(examples, row).inputs)
        none = np.empty((0, len(before)), np.float32)
        after = await self.batcher.probabilities(inputs, len(parts)) if inputs else none
        return _json(
            {
                "id": examples.ids[row],
                "class": self.model.classes[of],
                "probability": float(before[of]),
                "method": "occlusion: each part is removed alone, and the prediction is repeated",
                "parts": occlusion.moved(before, after, parts, of),
            }
        )

    def _class(self, asked: str | None, before: NDArray[np.float32]) -> int:
        if asked is None:
            return int(np.argmax(before))
        if asked not in self.model.classes:
            raise Refusal(422, f"unknown class: expected {', '.join(self.model.classes)}")
        return self.model.classes.index(asked)

    async def view(self, request: Request) -> Response:
        """Handle a request for the content of a body as the page draws it, with predictions."""
        examples = await self.read(request)
        found = await self.ask(examples)
        told: dict[str, Any] = {"notes": list(examples.notes)}
        if examples.patients:
            told["patients"] = [each.model_dump() for each in examples.patients]
        else:
            signal = self.model.about["signal"]
            whole = examples.inputs["signal"]
            told |= {"sfreq": signal["sfreq"], "n_times": whole.shape[2]}
            points = max(_DRAWN, min(_NEAR * len(whole), _MOST // whole.shape[1]))
            told["channels"] = [_drawn(whole[:, k], points) for k in range(whole.shape[1])]
        return _json({**told, "predictions": self.answers(examples, found)})


_SMALL = 65_536
"""Bytes that are read without a thread, as starting one would take longer."""


def _only(examples: Examples, row: int) -> Examples:
    inputs = {name: array[row : row + 1] for name, array in examples.inputs.items()}
    return Examples(inputs, [examples.ids[row]])


def _drawn(signal: NDArray[np.float32], points: int) -> dict[str, list[float]]:
    """Return the lowest and highest value of each span of a channel (example, sample)."""
    flat = signal.ravel()
    edges = np.unique(np.linspace(0, len(flat), min(points, len(flat)) + 1).astype(int))[:-1]
    ends = (np.minimum.reduceat(flat, edges), np.maximum.reduceat(flat, edges))
    return {
        name: np.round(v, 3).tolist() for name, v in zip(("least", "greatest"), ends, strict=True)
    }


def _json(value: Any) -> Response:
    return Response(to_json(value), media_type=JSON)


def application(service: Service, *, token: str = "", hosts: frozenset[str] = frozenset()) -> Guard:
    """Make the application behind its limits.

    Args:
        service: The functions of its paths.
        token: Required access token; empty for none.
        hosts: Allowed host names; empty for any.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.batcher.start()
        yield
        await service.batcher.stop()

    app = FastAPI(
        title=f"sequela: {service.model.about['title']}",
        version="1",
        description=DESCRIPTION,
        docs_url=None,  # its page would load files from other servers
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers={
            Refusal: _refused,
            SequelaError: _refused,
            HTTPException: _refused,
            Exception: _failed,
        },
    )
    told = described(service.model, service.bodies.kinds, secured=bool(token))
    for path, answer in (
        ("/v1/predict", service.predict),
        ("/v1/explain", service.explain),
        ("/v1/view", service.view),
    ):
        app.add_api_route(path, answer, methods=["POST"], response_model=None, **told[path])

    @app.get("/v1/model", **told["/v1/model"])
    async def model() -> Response:
        return _json(service.card)

    @app.get("/health", **told["/health"])
    async def health() -> Response:
        return _json({"status": "ok", "model": service.model.about["run"]["sha256"]})

    @app.get("/metrics", **told["/metrics"])
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    for path, (name, kind) in _PAGE.items():
        body = files("sequela.serving.web").joinpath("page", name).read_bytes()
        _add_file(app, path, body, kind)
    paths = frozenset({*told, *_PAGE})
    return Guard(app, service.limits, service.metrics, token, hosts, paths)


def _add_file(app: FastAPI, path: str, body: bytes, kind: str) -> None:
    @app.get(path, include_in_schema=False)
    async def file() -> Response:
        return Response(body, media_type=f"{kind}; charset=utf-8")


_SENTENCES = {
    404: "unknown path: see /openapi.json",
    405: "this path has another method: see /openapi.json",
}


async def _refused(_: Request, error: Exception) -> Response:
    """Return a problem document."""
    headers: dict[str, str] = {}
    if isinstance(error, Refusal):
        status, detail, headers = error.status, error.detail, error.headers
    elif isinstance(error, HTTPException):
        status = error.status_code
        detail = _SENTENCES.get(status, str(error.detail))
        headers = dict(error.headers or {})
    else:
        status, detail = 422, " ".join(str(error).split())
    return Response(document(status, detail), status, headers, media_type=PROBLEM)


async def _failed(_: Request, __: Exception) -> Response:
    """Return a problem document for an internal error, which is in the server's log."""
    detail = "internal server error: see the log of the server"
    return Response(document(500, detail), 500, media_type=PROBLEM)
