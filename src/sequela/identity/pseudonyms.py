"""Ids as keyed hashes: without the key, nobody can find an id by trying all possible ids.

The key belongs to the user, not to a run, and is not stored in run folders, so these can be shared.
Two runs on the same people list the same hashes if they were made with the same key.
"""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_config_path

from sequela.errors import SettingError
from sequela.files import writing

# The environment variable with the path of the key file; several users may share one.
VARIABLE = "SEQUELA_KEY"
_BYTES = 32
_DIGITS = 16  # hexadecimal digits of an id's hash
_EVERYBODY = 0o007  # permissions of other users

Ids = NDArray[np.str_]


@dataclass(frozen=True)
class Pseudonyms:
    """The hashing of ids with a key; with an empty one by SHA-256 alone, as in earlier versions."""

    secret: bytes

    @property
    def name(self) -> str:
        """A public name of the key that does not reveal it; empty without a key."""
        return self.of("the name of this key") if self.secret else ""

    def digest(self, text: str) -> bytes:
        """Hash a text: 32 bytes."""
        return _digest(self.secret, text)

    def of(self, id_: str) -> str:
        """Hash one id."""
        return self.digest(id_).hex()[:_DIGITS]

    def each(self, ids: Ids) -> Ids:
        """Hash each id, (example,)."""
        # Each distinct id is hashed once: windows of one recording repeat its id.
        distinct, inverse = np.unique(ids, return_inverse=True)
        return np.array([self.of(str(id_)) for id_ in distinct], np.str_)[inverse]

    def distinct(self, ids: Ids) -> list[str]:
        """Hash the distinct ids, and sort them."""
        return sorted(set(self.each(ids).tolist()))


@lru_cache(maxsize=1 << 16)  # the models of a study have the same ids
def _digest(secret: bytes, text: str) -> bytes:
    if not secret:
        return hashlib.sha256(text.encode()).digest()
    return hmac.digest(secret, text.encode(), "sha256")


PLAIN = Pseudonyms(b"")  # hashing without a key


def own() -> Pseudonyms:
    """Return the hashing with this user's key, which is created if there is none."""
    path = key_path()
    return _read(path) if path.exists() else _make(path)


def named(name: str) -> Pseudonyms | None:
    """Return the hashing with the key of this name; ``None`` if this user does not have it."""
    if not name:
        return PLAIN
    path = key_path()
    pseudonyms = _read(path) if path.exists() else None
    return pseudonyms if pseudonyms and pseudonyms.name == name else None


def in_words(name: str) -> str:
    """Describe how ids are hashed, for ``split.json``."""
    how = "HMAC-SHA-256, under the named key," if name else "SHA-256"
    return f"first {_DIGITS} hexadecimal digits of the {how} of the id"


def key_path() -> Path:
    """Return the path of this user's key."""
    path = os.environ.get(VARIABLE)
    return Path(path) if path else user_config_path("sequela") / "key"


def _make(path: Path) -> Pseudonyms:
    """Create a key in a file that only its owner may read; of two processes, one creates it."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            # Others can never read the file, not even before a change of its rights.
            handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(f"{secrets.token_hex(_BYTES)}\n")
            # A link fails where the file exists, so two processes agree on the key of the first.
            with suppress(FileExistsError):
                os.link(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return _read(path)


def _read(path: Path) -> Pseudonyms:
    with writing(path):
        mode = path.stat().st_mode
        text = path.read_bytes()
    if os.name == "posix" and mode & _EVERYBODY:
        raise SettingError(
            f"{path}: everybody on this machine may use this key of subject ids: take their "
            "permissions away (chmod 600)"
        )
    return _of(text, path)


@cache
def _of(text: bytes, path: Path) -> Pseudonyms:
    try:
        secret = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        secret = b""
    if len(secret) != _BYTES:
        raise SettingError(
            f"{path}: holds no key of subject ids: expected {2 * _BYTES} hexadecimal digits; put "
            "the right file there, or remove it, and a new key is made"
        )
    return Pseudonyms(secret)
