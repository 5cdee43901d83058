"""The command ``sequela``: its subcommands and its error messages."""

import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

from cyclopts import App, CycloptsError, Parameter, Token, convert
from rich.console import Console

import sequela.cli.commands  # noqa: F401 - registers them
from sequela.errors import (
    MissingExtraError,
    SequelaError,
    SettingError,
    fixable,
    is_memory,
    system_words,
    without_passwords,
)
from sequela.plugins import COMMANDS, load_plugins
from sequela.version import __version__

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")  # \d would also match digits of other scripts
_DATABASE = re.compile(
    r"(--[a-z-]+=)?((odbc:)|(postgres(ql)?(\+\w+)?:/|jdbc:)|(?!https?:)[a-z0-9+]+://[^/]*@)",
    re.IGNORECASE,
)
_CONNECTION = re.compile(
    r"(?!(--root=)?(odbc|jdbc):)[^/]*\b(dsn|driver|server|pwd|password) *=", re.IGNORECASE
)
"""A connection string without its prefix, which may hold a password."""
_READS_DATABASES = ("build", "data check")
_READS_ODBC = (*_READS_DATABASES, "data describe")
_OF_TRAINING = ("torch", "accelerate")  # libraries of the extra `train`
_MEMORY = (
    "out of memory: finished work is kept; close other programs, or use less memory "
    "(--batch-size, --processes), and run the command again"
)


def as_written(type_: object, tokens: Sequence[Token]) -> object:
    """Convert an argument as cyclopts does, but accept only plain digits as whole numbers.

    For a whole number, cyclopts takes 1.5 for 2, 0x10 for 16 and 1_000 for 1000.
    """
    return convert(type_, tokens, converter=_converted)


def _converted(type_: object, token: str) -> object:
    if type_ is int and not _WHOLE_NUMBER.fullmatch(token):
        raise ValueError(token)
    return convert(type_, [token])


def build_app(*, listed: bool = False) -> App:
    """Make the command from the registered commands.

    The module of a command is imported when it is called, and heavy modules by the command, so that
    the help stays quick. If they are ``listed``, commands have their summary as their help, and the
    list needs no Markdown.
    """
    app = App(
        name="sequela",
        version=__version__,
        help="Clinical sequence models: from raw EEG and hospital tables to an unbiased "
        "evaluation.",
        help_format="plaintext" if listed else "markdown",
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(converter=as_written, negative=()),
    )
    # Registered in the order of work; without a key, the help would be sorted by name.
    for place, command in enumerate(COMMANDS.values()):
        summary = command.summary if listed else None
        app.command(command.place, name=command.name, help=summary, sort_key=place)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    An error of the user or of the system is printed in one line. The exit status is 2 if the user
    can fix it, else 1.
    """
    # First of all: an error below may quote an address of a database with its password.
    print_plainly()
    words = sys.argv[1:] if arguments is None else arguments
    try:
        _check_arguments(words)
        load_plugins()
        if words[:1] == ["train"] and "--help" in words:
            from sequela.cli.options import lead_with

            lead_with(words)
        app = build_app(listed=all(word.startswith("-") for word in words))
        app(arguments, exit_on_error=False, print_error=False)
    except (SequelaError, CycloptsError) as error:
        # A check of a name raises its own error, which needs no introduction.
        ours = isinstance(error.__cause__, SequelaError) and isinstance(error, CycloptsError)
        _refuse(str(error.__cause__ if ours else error), 2)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _OF_TRAINING:
            raise
        network = MissingExtraError.of("train", "reading or training a network")
        _refuse(f"{network}; baseline models need no extra: spectral-boosting, boosting...", 2)
    except KeyboardInterrupt:
        _interrupted()
    except BrokenPipeError:
        # The reader closed the output; the rest of the buffer is discarded.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # 128 + 13, the status of a program that the signal SIGPIPE ended, as shells expect it.
        sys.exit(141)
    except Exception as error:
        _end_by_system(error)
        raise


def _end_by_system(error: Exception) -> None:
    if str(error) == "Query interrupted":  # DuckDB takes Ctrl-C itself
        _interrupted()
    if is_memory(error):
        _refuse(_MEMORY, 2)
    # A full disk or a missing right is for the user to fix; only other errors show a traceback.
    if isinstance(error, OSError):
        _refuse(system_words(error), 2 if fixable(error) else 1)


def _interrupted() -> NoReturn:
    hint = "run the same command again to continue (sequela train: with --resume)"
    print(f"sequela: interrupted; {hint}", file=sys.stderr)
    # 128 + 2, the status of a program that the signal SIGINT (Ctrl-C) ended.
    sys.exit(130)


def _check_arguments(words: Sequence[str]) -> None:
    for argument in words:
        _check_utf8(argument)
        _check_database(" ".join(w for w in words[:2] if w != argument), argument)


def _check_utf8(argument: str) -> None:
    try:
        argument.encode()
    except UnicodeEncodeError:
        name = os.fsencode(argument).decode("utf-8", "replace")
        raise SettingError(
            f"'{name}' is not UTF-8; expected names of files and values in UTF-8: rename the file"
        ) from None


def _check_database(command: str, argument: str) -> None:
    """Raise a SettingError, without the password, for a database that a command does not read."""
    # As a path, an address would be printed in errors with its password.
    kind = _DATABASE.match(argument)
    if kind and not command.startswith(_READS_ODBC if kind[3] else _READS_DATABASES):
        raise SettingError(
            f"`sequela {command}` does not read this database: run `sequela build NAME --root "
            "ADDRESS --out FOLDER` first, then use that folder with --data meds --root FOLDER"
        )
    if _CONNECTION.match(argument):
        raise SettingError(
            "a connection string without its prefix: write odbc: before it, as in --root "
            "'odbc:DSN=hospital'"
        )


def _refuse(message: str, status: int) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(
        f"sequela: error: {' '.join(message.split())}", markup=False, highlight=False, emoji=False
    )
    sys.exit(status)


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
