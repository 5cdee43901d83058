"""Copies of a module and of its results with shapes and no values."""

import copy
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from sequela.errors import ModelError


def refuse_opaque(model: nn.Module) -> None:
    """Refuse a lazy, compiled or scripted module, and one with forward hooks."""
    for name, module in model.named_modules():
        where = f"'{name}' ({type(module).__name__})" if name else type(module).__name__
        if isinstance(module, torch.jit.ScriptModule):
            raise ModelError(f"{where} is TorchScript: count the module it was made from")
        if hasattr(module, "_orig_mod") or vars(module).get("_compiled_call_impl") is not None:
            raise ModelError(
                f"{where} is compiled: count the module that was given to torch.compile"
            )
        if module._forward_hooks or module._forward_pre_hooks:  # noqa: SLF001
            lazy = isinstance(module, nn.modules.lazy.LazyModuleMixin)
            raise ModelError(
                f"{where} is lazy, without shapes yet: call the model once on real input first"
                if lazy
                else f"{where} has forward hooks, which may compute anything: remove them first"
            )


def on_meta(model: nn.Module) -> nn.Module:
    """Copy a module for inference, its tensors without values; no weight is copied."""
    # deepcopy takes these for copies that it has made already, so it copies no values.
    memo: dict[int, object] = {}
    for module in model.modules():
        # Attributes may hold tensors that are neither parameters nor buffers, such as cached masks.
        attributes = (vars(module), module._parameters, module._buffers)  # noqa: SLF001
        for value in chain.from_iterable(list(values.values()) for values in attributes):
            if isinstance(value, nn.Parameter):
                memo[id(value)] = nn.Parameter(value.detach().to("meta"), value.requires_grad)
            elif isinstance(value, Tensor):
                memo[id(value)] = shape_only(value)
    try:
        return copy.deepcopy(model, memo).eval()
    except Exception as error:
        raise ModelError(
            f"{type(model).__name__} cannot be copied ({type(error).__name__}: {error}), so it "
            "cannot be counted without touching it"
        ) from error


def shape_only(value: Any) -> Any:
    """Return a floating tensor without its values; anything else unchanged."""
    if is_packed(value):
        return value._replace(data=shape_only(value.data))
    if isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex()):
        return value.detach().to("meta")
    return value


def is_packed(value: object) -> bool:
    """Return whether a value is a packed sequence, which is a tuple too."""
    return isinstance(value, PackedSequence)


def describe(value: object) -> str:
    """Describe the shape of a tensor, or the type of another value.

    Example:
        >>> describe(torch.zeros(2, 178))
        '2x178'
    """
    if isinstance(value, PackedSequence):
        return f"packed {describe(value.data)}"
    if not isinstance(value, Tensor):
        return type(value).__name__ if isinstance(value, dict | list | tuple) else repr(value)
    kind = "" if value.is_floating_point() else f":{str(value.dtype).removeprefix('torch.')}"
    return ("x".join(map(str, value.shape)) or "scalar") + kind
