"""Schemathesis asks what OpenAPI allows and what it forbids: the server never fails."""

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

from sequela.serving.served import ServedModel

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
SETTINGS = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


def ask_all(address: str) -> int:
    """Ask all operations of a server; how many there are."""
    schema = schemathesis.openapi.from_url(f"{address}openapi.json")
    operations: list[Any] = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]
    for operation in operations:
        for mode in MODES if operation.method == "post" else MODES[:1]:  # what takes nothing
            _ask(operation.as_strategy(generation_mode=mode))
    return len(operations)


def _ask(cases: Any) -> None:
    @SETTINGS
    @given(case=cases)
    def ask(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    ask()


@pytest.mark.slow(but="signal")
@pytest.mark.parametrize("kind", ["signal", "records"])
def test_nothing_that_is_asked_breaks_the_server(
    kind: str, eeg: ServedModel, visits: ServedModel, running: Callable[..., Any]
) -> None:
    with running(eeg if kind == "signal" else visits) as address:
        assert ask_all(address) == 6
