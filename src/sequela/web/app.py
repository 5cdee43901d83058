"""The HTTP application of one model: predictions, the model's card, and a page."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse

from sequela.serving.served_model import ServedModel
from sequela.version import __version__
from sequela.web import schemas
from sequela.web.answers import Answers, Job, Reply
from sequela.web.bodies import described_rows, kinds_of
from sequela.web.guards import BUSY, SMALL, Guard, Limits
from sequela.web.lanes import Lane, Process
from sequela.web.schemas import (
    EDF,
    FAILED,
    JSON,
    OBJECT,
    PREDICTIONS,
    Refusal,
    described,
    response_of,
)

BATCH = 128  # most examples of a batch
_MEMORY = (8, 20)
"""Bytes of memory, for each allowed byte of a body, of the processes for small and large ones."""
_DESCRIPTION = (
    "Predictions of one model. Data that are sent are not stored. Errors are problem documents "
    "(RFC 9457). The model is for research and is not a medical device."
)
_PAGE = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js"}


class Service:
    """The functions of the paths of the application."""

    def __init__(self, model: ServedModel, limits: Limits, batch: int = BATCH) -> None:
        model = replace(model, name="the model")  # hides its path
        self.model, self.limits = model, limits
        self.kinds = kinds_of(model)
        less, more = _MEMORY
        small = Process(Answers(model, limits, batch, small=True), limits.bytes * less)
        large = Process(Answers(model, limits, batch), limits.bytes * more)
        self.small = Lane(small, most=batch, seconds=limits.seconds / 2)
        self.large = Lane(large, most=1, seconds=None)

    @cached_property
    def card(self) -> dict[str, object]:
        """The metadata of the model, without fingerprints and fitted featurisers."""
        card = {name: value for name, value in self.model.about.items() if name != "features"}
        if "records" in card:
            records = card["records"]
            card["records"] = {name: records[name] for name in ("task", "settings", "unknown")}
            card["records"] |= {name: len(records[name]) for name in ("channels", "vocabulary")}
            card["records"]["codes"] = card["records"].pop("vocabulary") - 1
            if records.get("rows"):
                rows = described_rows(self.model)
                columns = [rows.settings.id, rows.settings.time, *rows.kinds_read]
                card["records"]["columns"] = [name for name in columns if name]
        return {
            **card,
            "fingerprint": card["fingerprint"]["sha256"],
            "serves": {"version": __version__, "media_types": list(self.kinds)},
        }

    async def send_card(self) -> Response:
        """Return the metadata of the model."""
        return JSONResponse(self.card)

    async def send_health(self) -> Response:
        """Return the state of the server."""
        return JSONResponse({"status": "ok", "model": self.model.facts.run.sha256})

    async def answer(self, request: Request) -> Response:
        """Handle a request with a body.

        Small ones are answered together. All others wait for each other, not small ones for them.
        """
        headers, path = request.headers, request.url.path
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in self.kinds:
            reason = ", as the model filters whole recordings" if self.kinds == (EDF,) else ""
            expected = f"one of {', '.join(self.kinds)}{reason}"
            raise Refusal(415, f"the media type is {kind or 'missing'}: expected {expected}")
        body = await request.body()
        # A queue without an end would answer everybody after their timeout.
        if len(self.small) + len(self.large) >= self.limits.waiting:
            raise BUSY
        query = request.query_params.multi_items()
        job = Job(path, kind, query, body)
        reply = None
        # A small body is answered at once, next to others; one that unpacks to many numbers gets no
        # reply there, and is answered in the lane for large ones.
        if len(body) <= SMALL and kind != EDF:
            reply = await self.small.answer(job)
        reply = reply or await self.large.answer(job) or _ENDED
        if reply.log:
            logging.getLogger("uvicorn.error").error(reply.log)
        return Response(reply.body, reply.status, media_type=reply.kind)


_ENDED = Reply.problem(413, "the process ended: the body may need too much memory; send less")


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

    app = FastAPI(
        title=f"sequela: {service.model.facts.title}",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,  # its page would load files from other servers
        redoc_url=None,
        lifespan=lifespan,
        responses=schemas.PROBLEMS,
        exception_handlers=dict.fromkeys((HTTPException, ClientDisconnect, Exception), _refused),
    )
    body = schemas.posted(service.model, service.kinds)
    predicted = described("Probabilities of examples", {JSON: PREDICTIONS})
    viewed = described("Examples as the page draws them", {JSON: PREDICTIONS})
    routes: dict[str, tuple[Callable[..., Awaitable[Response]], schemas.Described]] = {
        "/v1/predict": (service.answer, predicted | body),
        "/v1/view": (service.answer, viewed | body),
        "/v1/model": (service.send_card, described("The model's card", {JSON: OBJECT})),
        "/health": (service.send_health, described("State of the server", {JSON: OBJECT})),
    }
    secured = [Depends(HTTPBearer(auto_error=False))] if token else []  # the guard checks it
    for path, (endpoint, settings) in routes.items():
        needed = [] if path == "/health" else secured
        app.add_api_route(path, endpoint, dependencies=needed, **settings)
    for path in _PAGE:
        app.add_api_route(path, _send_file, include_in_schema=False)
    schemas.add_schemas(app, service.model)
    return Guard(app, service.limits, token, hosts)


async def _send_file(request: Request) -> FileResponse:
    return FileResponse(Path(__file__).parent / "page" / _PAGE[request.url.path])


async def _refused(_: Request, error: Exception) -> Response:
    """Return a problem document; of an internal error without its reason, which is logged."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=499)  # nobody reads it
    return response_of(error if isinstance(error, HTTPException) else HTTPException(500, FAILED))
