"""Copies of a module with shapes and no values, and modules that cannot be copied so."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from sequela.errors import ModelError


def refuse_opaque(model: nn.Module) -> None:
    """Refuse a module that cannot be traced.

    Raises:
        ModelError: For a lazy module, one with forward hooks, a compiled or a scripted one.
    """
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
    memo: dict[int, Any] = {}
    for module in model.modules():
        held = (vars(module), module._parameters, module._buffers)  # noqa: SLF001
        for value in [value for values in held for value in values.values()]:
            if isinstance(value, Tensor) and id(value) not in memo:
                memo[id(value)] = _shape(value)
    try:
        return copy.deepcopy(model, memo).eval()
    except Exception as error:
        raise ModelError(
            f"{type(model).__name__} cannot be copied ({type(error).__name__}: {error}), so it "
            "cannot be counted without touching it"
        ) from error


def _shape(value: Tensor) -> Tensor:
    if isinstance(value, nn.Parameter):
        return nn.Parameter(value.detach().to("meta"), value.requires_grad)
    return shape_only(value)  # type: ignore[no-any-return]


def shape_only(value: Any) -> Any:
    """Return a floating tensor without its values; anything else unchanged."""
    if is_packed(value):
        return PackedSequence(
            shape_only(value.data),
            value.batch_sizes,
            value.sorted_indices,
            value.unsorted_indices,
        )
    if isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex()):
        return value.detach().to("meta")
    return value


def is_packed(value: Any) -> bool:
    """Return whether a value is a packed sequence, which is a tuple too."""
    return isinstance(value, PackedSequence)


def describe(value: Any) -> str:
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
