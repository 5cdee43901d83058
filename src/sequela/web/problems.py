"""Problem documents (RFC 9457): one JSON object with the status and a sentence."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from sequela.errors import without_passwords

PROBLEM = "application/problem+json"


class Refusal(Exception):  # noqa: N818 - it is a response
    """A refused request."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


def document(status: int, detail: str) -> bytes:
    """Return the body of the response."""
    title = HTTPStatus(status).phrase
    said = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return without_passwords(json.dumps(said, ensure_ascii=False)).encode()
