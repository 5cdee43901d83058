"""An exported model, made once."""

from tests.serving.conftest import file, run

__all__ = ["file", "run"]
