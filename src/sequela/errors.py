"""Errors that users can cause.

Every error states the problem, the expectation and the remedy. The command line prints it in one
line and exits with status 2; a bug stays a traceback.
"""

import errno
import re
import shlex
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path


class SequelaError(Exception):
    """The base of all errors that a user can cause and fix."""


class SeenExamplesWarning(UserWarning):
    """The warning that a classifier is evaluated on training examples."""


class MissingGroupsWarning(UserWarning):
    """The warning that rows of one recording or patient may be on both sides of a split."""


def warn_without_groups(where: str) -> None:
    """Warn, at the caller of the caller, where related rows may be without groups."""
    warnings.warn(
        f"groups are missing. If several rows are of one recording or patient, they may be in "
        f"{where}. Pass groups, the recording or patient of each row, or groups=range(len(X)) if "
        "the rows are independent; in scikit-learn's tools, set_fit_request(groups=True)",
        MissingGroupsWarning,
        stacklevel=3,  # the caller of the caller
    )


class DataError(SequelaError, ValueError):
    """A file or table does not follow its format."""


class DataNotFoundError(SequelaError, FileNotFoundError):
    """A data set, folder or file is missing."""


class UnknownNameError(SequelaError, ValueError):
    """A name (model, data set, column...) does not exist."""


class SettingError(SequelaError, ValueError):
    """A setting, or a combination of settings, cannot be used."""


class ModelError(SequelaError, ValueError):
    """A module cannot be loaded, run or counted."""


class SplitError(SequelaError, ValueError):
    """The parts of a split overlap, or a split does not belong to the data."""


class RunError(SequelaError, ValueError):
    """A run folder is incomplete, damaged, or belongs to another run."""


class PluginError(SequelaError, ImportError):
    """An external plugin cannot be loaded."""


class OutputError(SequelaError, OSError):
    """Output could not be written."""


class MissingExtraError(SequelaError, ImportError):
    """An optional dependency is needed and not installed."""

    @classmethod
    def of(cls, extra: str, needed_for: str) -> "MissingExtraError":
        """Return the error for a missing extra, with the command that installs it."""
        return cls(f"{needed_for} needs an extra: run `{install(extra)}`")


@contextmanager
def extra(name: str, needed_for: str, *libraries: str) -> Iterator[None]:
    """Raise a MissingExtraError if an import fails: of any library, or of the named ones."""
    try:
        yield
    except ImportError as error:
        # A library may raise an error of its own, without the name, for what it could not import.
        if libraries and not {error.name, getattr(error.__cause__, "name", None)} & {*libraries}:
            raise
        raise MissingExtraError.of(name, needed_for) from error


def install(extra: str) -> str:
    """Return the command that installs an extra for the running Python."""
    return f"{shlex.quote(sys.executable)} -m pip install 'sequela[{extra}]'"


_MOST_NAMES = 40  # names that an error lists


def unknown_name(kind: str, name: str, choices: Iterable[str]) -> UnknownNameError:
    """Return an error for a name that does not exist, with the nearest one that does.

    Example:
        >>> print(unknown_name("model", "gru-basline", ["mlp", "gru-baseline"]))
        unknown model 'gru-basline': did you mean 'gru-baseline'? (known: gru-baseline, mlp)
    """
    names = sorted(choices)
    words: dict[str, str] = {}  # parts of names, and the names themselves
    for known_name in names:
        # A part such as "baseline" suggests the names that have it.
        words = dict.fromkeys(known_name.split("-"), known_name) | words | {known_name: known_name}
    near = get_close_matches(name, words, n=1, cutoff=0.5)
    hint = f": did you mean '{words[near[0]]}'?" if near else ""
    choice = ", ".join(names)
    if len(names) > _MOST_NAMES:
        choice = f"{len(names)}, from {names[0]} to {names[-1]}"
    return UnknownNameError(f"unknown {kind} '{name}'{hint} (known: {choice})")


FORM = 30  # characters of a form in a message
_QUOTED = re.compile(r"""(["'`]).*\1""")
_NUMBER = re.compile(r"(?<![A-Za-z0-9])\d+")  # but not a name such as INT32


def form_of(value: str) -> str:
    """Return the form of a patient's value, without the value: a message may be sent elsewhere.

    Digits become 9, letters a, and other characters outside ASCII ?.

    Example:
        >>> form_of("01/31/2131 10:00"), form_of("Mrs Vogel fell")
        ("'99/99/9999 99:99'", "'aaa aaaaa aaaa'")
    """
    start = value if len(value) <= FORM else value[:FORM] + "..."
    plain = re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", start))
    return repr(plain.encode("ascii", "replace").decode())


def without_values(words: object) -> str:
    """Return a library's message in one line, without the values that it quotes.

    Example:
        >>> without_values("Could not convert string 'Mrs Vogel' to INT32, row 17")
        "Could not convert string 'aaa aaaaa' to INT32, row 99"
    """
    line = " ".join(str(words).split())
    hidden = _QUOTED.sub(lambda quoted: form_of(quoted[0][1:-1]), line)
    return _NUMBER.sub(lambda number: re.sub(r"\d", "9", number[0]), hidden)[:200]


_KEYS = (  # parts of the names of keys whose value is a password
    r"(?:pwd|passw|passphrase|secret|token|credential|signature|\b(?:pass|pw|sig)\b|"
    r"(?:api|access|account|private)[\w.-]?key)"
)
_VALUE = r"""(?:\{(?:[^}]|\}\}){0,200}\}|"[^"]*"|'[^']*'|[^\s;&"']+)"""  # {...} holds any sign
_PASSWORD = re.compile(  # with bounds, as a long text without a password takes quadratic time else
    # scheme://user:password@host (a Path makes :// into :/), or server=user:password@host
    r"((?::/+|=)\s*)[^\s:/@;=\"']*:(?!/)[^\s<>]{0,200}(?=@)"
    r"|(https?:/+)[^\s/@<>]{1,200}(?=@)"  # https://token@host
    r"|(\bjdbc:(?:\w{1,20}:){1,5})[^\s/@]{0,200}/[^\s@]{0,200}(?=@)"  # user/password@host
    rf"|({_KEYS}[\w.-]{{0,40}}\s*=\s*){_VALUE}",
    re.IGNORECASE,
)


def without_passwords(text: str) -> str:
    """Replace what may be a password in addresses and connection strings by ``***``.

    Example:
        >>> print(without_passwords("mysql://me:s3cret@host/db, DSN=ward;UID=me;PWD={s3;cret}"))
        mysql://***@host/db, DSN=ward;UID=me;PWD=***
    """
    return _PASSWORD.sub(lambda match: f"{''.join(filter(None, match.groups()))}***", text)


_NO_ROOM = ("no space is left there", "free some, or name another disk")
_FORBIDDEN = ("you may not write or read it", "name another place, or change its permissions")
_NO_FOLDER = ("a file is where a folder is expected", "name another place")
_FIXABLE = {
    errno.EISDIR: ("it is a folder, and a file is expected", "name a file in it"),
    errno.ENOTDIR: _NO_FOLDER,
    errno.EEXIST: _NO_FOLDER,
    errno.ENOTEMPTY: ("it is a folder that is not empty", "name another place"),
    errno.ENOENT: ("it does not exist and cannot be made", "name another place"),
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EROFS: ("its file system is read-only", "name another place"),
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EFBIG: ("it would be larger than files may be there", "name another disk"),
    errno.ELOOP: ("it is a link, and links are not followed there", "remove it"),
    errno.ENAMETOOLONG: ("its name is too long", "name a shorter one"),
}


_SHORT = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


def fixable(error: OSError) -> bool:
    """Return whether a user can fix the cause of a system error."""
    return error.errno in _FIXABLE


def is_memory(error: BaseException) -> bool:
    """Return whether memory ran out, in any library's words.

    Example:
        >>> is_memory(MemoryError()), is_memory(RuntimeError("CUDA out of memory. Tried to...")), (
        ...     is_memory(RuntimeError("shapes cannot be multiplied"))
        ... )
        (True, True, False)
    """
    message = str(error).lower()
    return isinstance(error, MemoryError) or any(words in message for words in _SHORT)


def system_words(error: OSError, path: Path | str | None = None) -> str:
    """Format a system error in one line: the file, the cause, and the remedy.

    Example:
        >>> system_words(IsADirectoryError(errno.EISDIR, "Is a directory", "page"))
        'page: it is a folder, and a file is expected; name a file in it'
        >>> system_words(OSError("1000 requested and 12 written"), "events")
        'events: it cannot be read or written (1000 requested and 12 written)'
    """
    place = path or error.filename or "a file, or standard output"
    if error.errno not in _FIXABLE:
        return f"{place}: it cannot be read or written ({error.strerror or error})"
    why, remedy = _FIXABLE[error.errno]
    return f"{place}: {why}; {remedy}"
