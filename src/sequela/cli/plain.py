r"""Standard output and error: without passwords, and `\xb5V` for `µV` where only ASCII is taken."""

import io
import sys
from collections.abc import Callable
from functools import partial

from sequela.errors import without_passwords


def print_plainly() -> None:
    """Let standard output and error hide passwords, and escape signs that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
            if not isinstance(stream.write, partial):  # a second call changes nothing
                stream.write = partial(_write, stream.write)  # type: ignore[method-assign]


def _write(write: Callable[[str], int], text: str) -> int:
    write(without_passwords(text))
    return len(text)
