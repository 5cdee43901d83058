"""Problem documents (RFC 9457): one JSON object with the status and a sentence."""

import json
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import Response

from sequela.errors import without_passwords

PROBLEM = "application/problem+json"
FAILED = "internal server error: see the log of the server"
_SENTENCES = {
    "Not Found": "unknown path: see /openapi.json",
    "Method Not Allowed": "this path has another method: see /openapi.json",
}
"""Sentences in place of starlette's."""


class Refusal(HTTPException):
    """A refused request."""


def document(status: int, detail: str) -> bytes:
    """Return the body of the response."""
    title = HTTPStatus(status).phrase
    said = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return without_passwords(json.dumps(said, ensure_ascii=False)).encode()


def response_of(error: HTTPException) -> Response:
    """Return the response to a refused request."""
    detail = _SENTENCES.get(error.detail, error.detail)
    body = document(error.status_code, detail)
    return Response(body, error.status_code, error.headers, media_type=PROBLEM)
