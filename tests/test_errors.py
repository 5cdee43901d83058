"""What errors tell a user to do."""

import sys

import pytest

from sequela.errors import MissingExtraError


def test_a_missing_extra_names_the_pip_of_this_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    said = str(MissingExtraError.of("explain", "an explanation"))
    assert said == (
        f"an explanation needs an extra: run `{sys.executable} -m pip install 'sequela[explain]'`"
    )
    monkeypatch.setattr(sys, "executable", "/my envs/bin/python")
    assert "'/my envs/bin/python' -m pip" in str(MissingExtraError.of("explain", "it"))
