"""A trained model as one safetensors file: its tensors, and what it needs beside them as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sequela.errors import RunError
from sequela.files import whole

_KEY = "sequela"


def write(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write a model; nothing of it is code, so reading it runs none."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole(path) as partial:
        partial.write_bytes(save(on_cpu, {_KEY: json.dumps(header, ensure_ascii=False)}))


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The header and the tensors of a file that :func:`write` wrote.

    Raises:
        RunError: If there is no such file, or it is not whole.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, Any] = json.loads(file.metadata()[_KEY])
            return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise RunError(f"{path}: not found; expected a saved model") from error
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: damaged, or not a saved model ({error}); save it again") from error
