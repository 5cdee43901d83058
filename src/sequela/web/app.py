"""The HTTP application of one model: predictions, explanations, the model's card, and a page."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cached_property
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from sequela.serving.served import ServedModel
from sequela.version import __version__
from sequela.web.answers import Answers, Job, Reply
from sequela.web.bodies import BINARY, CSV, JSON, PARQUET, described_rows, kinds_of
from sequela.web.described import described
from sequela.web.example import example_of
from sequela.web.guards import BUSY, SMALL, Guard, Limits, to_json
from sequela.web.lanes import Lane, Process
from sequela.web.metrics import Metrics
from sequela.web.problems import PROBLEM, Refusal, document

BATCH = 128
"""Most examples of a batch."""
_MEMORY = (8, 20)
"""Bytes of memory, for each allowed byte of a body, of the processes for small and large ones."""
_PAGE = {"/": ("index.html", "text/html"), "/page.css": ("page.css", "text/css")} | {
    "/page.js": ("page.js", "text/javascript")
}


class Service:
    """The functions of the paths of the application."""

    def __init__(self, model: ServedModel, limits: Limits, batch: int = BATCH) -> None:
        model = replace(model, name="the model")  # hides its path
        self.model, self.limits, self.metrics = model, limits, Metrics()
        self.kinds, self.example = kinds_of(model), example_of(model)
        small, large = (
            Process(Answers(model, limits, batch, small), limits.bytes * memory)
            for small, memory in zip((True, False), _MEMORY, strict=True)
        )
        observe = self.metrics.batch.observe
        self.small = Lane(small, observe, most=batch, seconds=limits.seconds / 2)
        self.large = Lane(large, observe, most=1, seconds=None)

    @cached_property
    def card(self) -> dict[str, object]:
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
            if records.get("rows"):
                rows = described_rows(self.model)
                columns = [rows.settings.id, rows.settings.time, *rows.known]
                told["records"]["columns"] = [name for name in columns if name]
        return {
            **told,
            "fingerprint": about["fingerprint"]["sha256"],
            "example": self.example and {"name": self.example.name, "about": self.example.about},
            "serves": {"version": __version__, "media_types": list(self.kinds)},
        }

    async def send_example(self) -> Response:
        """Return the example."""
        if self.example is None:
            raise Refusal(404, "this model has no example")
        return Response(self.example.body, media_type=self.example.kind)

    async def answer(self, request: Request) -> Response:
        """Handle a request with a body.

        Small ones are answered together. All others wait for each other, not small ones for them.
        """
        headers, path = request.headers, request.url.path
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in self.kinds:
            reason = ", as the model filters whole recordings" if len(self.kinds) == 1 else ""
            expected = f"one of {', '.join(self.kinds)}{reason}"
            raise Refusal(415, f"the media type is {kind or 'missing'}: expected {expected}")
        body = await request.body()
        if len(self.small) + len(self.large) >= self.limits.waiting:
            raise BUSY
        query = request.query_params.multi_items()
        job = Job(path, kind, query, PARQUET in headers.get("accept", ""), body)
        reply = None
        if len(body) <= SMALL and kind in (JSON, BINARY, CSV) and path != "/v1/explain":
            reply = await self.small.answer(job)
        reply = reply or await self.large.answer(job) or _ENDED
        if reply.log:
            logging.getLogger("uvicorn.error").error(reply.log)
        self.metrics.examples.inc(reply.examples)
        return Response(reply.body, reply.status, media_type=reply.kind)


_ENDED = Reply.problem(413, "the process ended: the body may need too much memory; send less")


def _json(value: Any) -> Response:
    return Response(to_json(value), media_type=JSON)


def application(service: Service, *, token: str = "", hosts: frozenset[str] = frozenset()) -> Guard:
    """Make the application behind its limits."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        lanes = (service.small, service.large)
        for lane in lanes:
            lane.start()
        yield
        for lane in lanes:
            await lane.stop()

    description, told = described(service.model, service.kinds, secured=bool(token))
    app = FastAPI(
        title=f"sequela: {service.model.facts.title}",
        version="1",
        description=description,
        docs_url=None,  # its page would load files from other servers
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers={
            Refusal: _refused,
            HTTPException: _refused,
            ClientDisconnect: _left,
            Exception: _failed,
        },
    )
    for path in ("/v1/predict", "/v1/explain", "/v1/view"):
        app.add_api_route(path, service.answer, methods=["POST"], response_model=None, **told[path])

    @app.get("/v1/model", **told["/v1/model"])
    async def model() -> Response:
        return _json(service.card)

    app.add_api_route("/v1/example", service.send_example, **told["/v1/example"])

    @app.get("/health", **told["/health"])
    async def health() -> Response:
        return _json({"status": "ok", "model": service.model.facts.run.sha256})

    @app.get("/metrics", **told["/metrics"])
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    for path, (name, kind) in _PAGE.items():
        _add_file(app, path, files("sequela.web").joinpath("page", name).read_bytes(), kind)
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
    if isinstance(error, Refusal):
        status, detail, headers = error.status, error.detail, error.headers
    else:
        assert isinstance(error, HTTPException)  # noqa: S101 - for the type checker
        status, headers = error.status_code, dict(error.headers or {})
        detail = _SENTENCES.get(status, str(error.detail))
    return Response(document(status, detail), status, headers, media_type=PROBLEM)


async def _left(_: Request, __: Exception) -> Response:
    """Return a status for the metrics, as the client has left before it sent all."""
    return Response(status_code=499)


async def _failed(_: Request, __: Exception) -> Response:
    """Return a problem document for an internal error, which is in the server's log."""
    detail = "internal server error: see the log of the server"
    return Response(document(500, detail), 500, media_type=PROBLEM)
