"""What went wrong, as RFC 9457 says it: one JSON object, with the status and a sentence."""

import json
from collections.abc import Mapping
from http import HTTPStatus

PROBLEM = "application/problem+json"


class Refusal(Exception):  # noqa: N818 - it is an answer
    """A request that is not answered as asked.

    Attributes:
        status: Of HTTP.
        detail: What was found, what was expected, what to do.
        headers: That the answer has beside.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


def document(status: int, detail: str) -> bytes:
    """The body of the answer."""
    title = HTTPStatus(status).phrase
    said = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return json.dumps(said, ensure_ascii=False).encode()
