"""Schemathesis asks what OpenAPI allows and what it forbids: the server never fails."""

import pytest
from fuzz.server import ask_all, running

from sequela.serving.served import ServedModel


@pytest.mark.slow(but="signal")
@pytest.mark.parametrize("kind", ["signal", "records"])
def test_nothing_that_is_asked_breaks_the_server(
    kind: str, eeg: ServedModel, visits: ServedModel
) -> None:
    with running(eeg if kind == "signal" else visits) as address:
        assert len(ask_all(address)) == 7
