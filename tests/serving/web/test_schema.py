"""Schemathesis sends requests that OpenAPI allows and that it forbids: the server never fails.

A failure is an internal error, a status, media type or schema that the document does not name, or
no response. ``--hypothesis-profile long`` sends more requests.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sequela.serving.served_model import ServedModel

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.mark.slow(but="signal")
@pytest.mark.parametrize("kind", ["signal", "records"])
def test_nothing_that_is_asked_breaks_the_server(
    kind: str, eeg: ServedModel, visits: ServedModel, running: Callable[..., Any]
) -> None:
    with running(eeg if kind == "signal" else visits) as address:
        schema = schemathesis.openapi.from_url(f"{address}openapi.json")
        named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(schema.raw_schema)))
        assert named == set(schema.raw_schema["components"]["schemas"]) >= {"Predictions"}
        operations: list[Any] = [result.ok() for result in schema.get_all_operations()]  # type: ignore[union-attr]
        assert len({operation.path for operation in operations}) == 4
        for operation in operations:
            send(operation, GenerationMode.POSITIVE)
            if operation.method == "post":  # the others take nothing
                send(operation, GenerationMode.NEGATIVE)


def send(operation: Any, mode: GenerationMode) -> None:
    """Send a tenth of the profile's examples, and check each response."""

    @settings(
        max_examples=settings().max_examples // 10,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        case.call_and_validate(checks=CHECKS, timeout=30)

    check()
