"""A trained model as one safetensors file: its tensors, and other state as JSON."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as arrays_file

from sequela.errors import DataNotFoundError, RunError, SequelaError
from sequela.files import whole
from sequela.formats.opened import content, json_value

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Stored: TypeAlias = "NDArray[np.generic] | Tensor"
Header = Mapping[str, Any]
"""The JSON of a stored model: its name, config and inputs, and what describes the data."""
Tensors = dict[str, Any]
"""Arrays of numpy, or tensors of torch, by name."""
_DAMAGE = (SafetensorError, SequelaError, KeyError, TypeError, ValueError, AttributeError)
_KEY = "sequela"  # the entry of the metadata with our header
_SEAL = "sha256"  # the entry with the checksum; files of 0.2.0 have none
_SIZE = 8  # bytes that hold the length of the header


def write(path: Path, tensors: Mapping[str, Stored], header: Mapping[str, object]) -> None:
    """Write a model with its SHA-256; the file holds no code, so reading it runs none.

    Tensors are of torch or numpy; the bytes are the same.
    """
    described, data = _parts(_saved(tensors, {_KEY: json.dumps(header, ensure_ascii=False)}))
    # The library writes several entries in random order: the same model would give other bytes.
    described["__metadata__"][_SEAL] = _seal(described, data)
    text = json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _SIZE)  # tensors begin at a whole number of words
    with whole(path) as partial, partial.open("wb") as file:
        file.writelines((len(text).to_bytes(_SIZE, "little"), text, data))


def read(
    path: Path, expected: str = "a saved model", remedy: str = "save it again"
) -> tuple[dict[str, Any], Tensors]:
    """Read the header and the tensors of a file of :func:`write`, and verify its SHA-256.

    The tensors are numpy arrays, or of torch if numpy lacks a type, such as bfloat16.
    """
    try:
        saved = content(path, expected, remedy)
        described, data = _parts(saved)
        metadata = described["__metadata__"]
        if metadata.get(_SEAL) not in (None, _seal(described, data)):
            raise ValueError("it was changed: its SHA-256 differs")
        return {**json_value(metadata[_KEY], finite=False)}, _loaded(saved)
    except DataNotFoundError as error:
        raise RunError(f"{path}: not found; expected {expected}") from error
    except _DAMAGE as error:
        raise RunError(f"{path}: damaged, or not {expected} ({error}); {remedy}") from error


def _saved(tensors: Mapping[str, Stored], metadata: dict[str, str]) -> bytes:
    """Return the bytes of a safetensors file; torch is needed only for its tensors."""
    arrays = {n: np.asarray(t, order="C") for n, t in tensors.items() if isinstance(t, np.ndarray)}
    if len(arrays) == len(tensors):
        return arrays_file.save(arrays, metadata)
    import torch
    from safetensors.torch import save

    as_torch = {
        n: torch.tensor(arrays[n]) if isinstance(t, np.ndarray) else t for n, t in tensors.items()
    }
    return save({n: t.detach().cpu().contiguous() for n, t in as_torch.items()}, metadata)


def _loaded(saved: bytes) -> Tensors:
    try:
        return dict(arrays_file.load(saved))
    except KeyError:  # numpy lacks a type
        from safetensors.torch import load

        return dict(load(saved))


def _parts(saved: bytes) -> tuple[dict[str, Any], memoryview]:
    """Split a file into header and tensor bytes, and check both before using them."""
    length = int.from_bytes(saved[:_SIZE], "little")
    if len(saved) < _SIZE or length > len(saved) - _SIZE:
        raise ValueError(f"its header has {length:,} bytes, and the file {len(saved):,}")
    described = json_value(saved[_SIZE : _SIZE + length])
    if not isinstance(described, dict):
        raise TypeError("it does not begin with a JSON object")
    return described, memoryview(saved)[_SIZE + length :]  # a copy would double the memory


def _seal(described: Mapping[str, Any], data: memoryview) -> str:
    """Compute the SHA-256 of a file's contents without the seal itself."""
    metadata = {key: value for key, value in described["__metadata__"].items() if key != _SEAL}
    # The place of the tensors may move with the length of the header, their order may not.
    text = json.dumps({**described, "__metadata__": metadata}, sort_keys=True)
    digest = hashlib.sha256(text.encode() + b"\0")
    digest.update(data)
    return digest.hexdigest()
