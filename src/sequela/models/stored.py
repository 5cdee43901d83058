"""A trained model as one safetensors file: its tensors, and other state as JSON."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from sequela.errors import DataNotFoundError, RunError, SequelaError
from sequela.files import whole
from sequela.formats.opened import content, json_value

_DAMAGE = (SafetensorError, SequelaError, KeyError, TypeError, ValueError, AttributeError)
_KEY = "sequela"
_SEAL = "sha256"
_SIZE = 8  # bytes that hold the length of the header


def write(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write a model with its SHA-256; the file holds no code, so reading it runs none."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    described, data = _parts(save(on_cpu, {_KEY: json.dumps(header, ensure_ascii=False)}))
    # The library writes several entries in random order: the same model would give other bytes.
    described["__metadata__"][_SEAL] = _seal(described, data)
    text = json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _SIZE)  # tensors begin at a whole number of words
    with whole(path) as partial, partial.open("wb") as file:
        file.writelines((len(text).to_bytes(_SIZE, "little"), text, data))


def read(
    path: Path, expected: str = "a saved model", remedy: str = "save it again"
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the header and the tensors of a file of :func:`write`, and verify its SHA-256."""
    try:
        given = content(path, expected, remedy)
        described, data = _parts(given)
        metadata = described["__metadata__"]
        if metadata.get(_SEAL) not in (None, _seal(described, data)):
            raise ValueError("it was changed: its SHA-256 differs")
        return {**json_value(metadata[_KEY], finite=False)}, load(given)
    except DataNotFoundError as error:
        raise RunError(f"{path}: not found; expected {expected}") from error
    except _DAMAGE as error:
        raise RunError(f"{path}: damaged, or not {expected} ({error}); {remedy}") from error


def _parts(given: bytes) -> tuple[dict[str, Any], memoryview]:
    """Split a file into header and tensor bytes, and check both before using them."""
    length = int.from_bytes(given[:_SIZE], "little")
    if len(given) < _SIZE or length > len(given) - _SIZE:
        raise ValueError(f"its header has {length:,} bytes, and the file {len(given):,}")
    described = json_value(given[_SIZE : _SIZE + length])
    if not isinstance(described, dict):
        raise TypeError("it does not begin with a JSON object")
    return described, memoryview(given)[_SIZE + length :]  # a copy would double the memory


def _seal(described: Mapping[str, Any], data: memoryview) -> str:
    """Compute the SHA-256 of a file's contents without the seal itself."""
    metadata = {name: each for name, each in described["__metadata__"].items() if name != _SEAL}
    # The place of the tensors may move with the length of the header, their order may not.
    text = json.dumps({**described, "__metadata__": metadata}, sort_keys=True)
    digest = hashlib.sha256(text.encode() + b"\0")
    digest.update(data)
    return digest.hexdigest()
