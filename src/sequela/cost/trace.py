"""The trace of a forward pass: its operations, without computing them.

The module is copied onto torch's ``meta`` device, where tensors have shapes and no values, and run
once. Modules with a rule report themselves; every other operation is recorded in torch's
dispatcher, so no fused or native kernel can hide work. Integers keep their values, since lengths
and offsets decide how much is computed.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only

from sequela.cost import rules
from sequela.cost.layers.calls import ModuleCall, ModuleRule, OperatorCall
from sequela.cost.layers.elementwise import fourier
from sequela.cost.layers.products import attention
from sequela.cost.meta import describe, is_packed, on_meta, refuse_opaque, shape_only
from sequela.cost.work import Layer
from sequela.errors import ModelError

Source = Literal["data", "weight"]
# Lengths stay numbers, while data are only shapes.
LENGTHS = ("_pack_padded_sequence", "_pad_packed_sequence")
# Filled by the forward itself, so they go where the data are; integers stay numbers.
FACTORIES = ("empty", "full", "ones", "zeros", "rand", "randn")
TRANSFORM = "torch.vmap or another function of torch.func"
OTHER_FORM = "(not in this form)"
ATTENDED = ("query", "key", "value", "attn_mask")
OWN_FILES = tuple(f"{Path(file).parent}{os.sep}" for file in (torch.__file__, __file__))


@dataclass
class CallsOfLayer:
    """The calls under one name, with their facts and the parameters by their name in the model.

    The name is the path of the module, or of the operation between layers.
    """

    name: str
    kind: str
    layers: Counter[Layer] = field(default_factory=Counter)
    parameters: dict[str, nn.Parameter] = field(default_factory=dict)


def trace(
    model: nn.Module,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    *,
    padded_rows: int | None = None,
) -> "Trace":
    """Trace what ``model(*args, **kwargs)`` computes at inference.

    The model, its mode and torch's random state are not changed.
    """
    # A copy on the meta device has shapes only, so that the largest model takes no memory.
    refuse_opaque(model)
    copied = on_meta(model)
    traced = Trace(copied, padded_rows)
    inputs = tree_map(shape_only, (tuple(args), dict(kwargs)), is_leaf=is_packed)
    traced.mark(_tensors(inputs), "data")
    with torch.random.fork_rng(devices=[]), torch.no_grad(), _layers_as_written():
        _run(type(model).__name__, copied, inputs, traced)
    traced.unused()
    return traced


@contextmanager
def _layers_as_written() -> Iterator[None]:
    """Run transformer layers layer by layer, without the fused operator of torch's fast path."""
    # On meta tensors torch would not take it either, but reads a mask's values before it decides.
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def _run(
    name: str,
    copied: nn.Module,
    inputs: tuple[Sequence[object], Mapping[str, object]],
    traced: "Trace",
) -> None:
    try:
        with traced, _Functions(traced):
            copied(*inputs[0], **inputs[1])
    except ModelError:
        raise
    except Exception as error:
        # On the meta device, code that depends on values fails in torch, which knows none.
        if _asks_for_values(error):
            raise _depends_on_data(name, _line(error)) from error
        shapes = ", ".join(describe(value) for value in (*inputs[0], *inputs[1].values()))
        raise ModelError(
            f"{name}'s forward failed on input {shapes or 'of nothing'} at {_line(error)}: "
            f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
        ) from error
    if traced.place_of_values:
        raise _depends_on_data(name, traced.place_of_values)


def _depends_on_data(name: str, where: str) -> ModelError:
    return ModelError(
        f"{name}'s forward reads the values of a tensor at {where}: its work depends on the "
        "data, so it cannot be counted from shapes"
    )


def _line(error: Exception) -> str:
    place, step = "", error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if not file.startswith(OWN_FILES):
            place = f"{Path(file).name}:{step.tb_lineno}"
        step = step.tb_next
    return place or "its call"


class _Functions(TorchFunctionMode):
    """A torch mode that records functions whose parts would be less clear than their formula."""

    def __init__(self, trace: "Trace") -> None:
        super().__init__()
        self.trace = trace

    def __torch_function__(
        self, func: Any, types: object, args: Any = (), kwargs: Mapping[str, object] | None = None
    ) -> object:
        trace, kwargs = self.trace, dict(kwargs or {})
        # Its own formula is clearer than the operators that torch would take, which depend on the
        # device and the version.
        attends = func is nn.functional.scaled_dot_product_attention
        if trace.hidden or not (attends or _transformed()):
            try:
                return func(*args, **kwargs)
            except Exception as error:
                trace.note(error)
                raise
        with trace.hiding():
            result = func(*args, **kwargs)
        name = trace.stack[-1][0]
        if _transformed():
            trace.miss(TRANSFORM, name)
            return result
        arguments = dict(zip(ATTENDED, args, strict=False)) | kwargs
        query, key, value = (arguments[argument] for argument in ATTENDED[:3])
        if any(map(trace.is_weight, (query, key, value))):
            trace.miss("scaled_dot_product_attention of weights", name)
        else:
            mask = arguments.get("attn_mask")
            trace.add("attention", [attention(result, query, key, mask)])
        return result


class Trace(TorchDispatchMode):
    """The trace of a forward pass, a dispatch mode: its rows, and its free and unknown operations.

    Free and unknown operations are counted by their name and place: the module, and the line of the
    forward.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # Nothing is compiled here, and loading dynamo takes a second.

    def __init__(self, copied: nn.Module, padded_rows: int | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows: dict[str, CallsOfLayer] = {}
        self.free: Counter[tuple[str, str]] = Counter()
        self.unknown: Counter[tuple[str, str]] = Counter()
        self.copied = copied
        self.padded_rows = padded_rows
        self.hidden = 0
        self.reports = 0
        self.stack: list[tuple[str, nn.Module]] = [("", copied)]
        self.covered: set[int] = set()
        self.names = {id(p): name for name, p in copied.named_parameters()}
        # The storages are kept, so that none of their addresses is given to another tensor.
        self.sources: dict[int, tuple[torch.UntypedStorage, Source]] = {}
        self.mark(copied.parameters(), "weight")
        self.place_of_values = ""
        # Forwards are replaced instead of hooked: a hook cannot skip the inside of a module.
        for name, module in list(copied.named_modules()):
            rule = rules.rule_for(module)
            module.forward = partial(self.call, name, module, module.forward, rule)

    def row(self, name: str, kind: str) -> CallsOfLayer:
        """Return the row of a name, a new one the first time."""
        return self.rows.setdefault(name, CallsOfLayer(name, kind))

    def miss(self, operation: str, module: str) -> None:
        """Record an operation without a rule."""
        self.reports += 1
        self.unknown[operation, ", ".join(filter(None, (module, _caller())))] += 1

    @contextmanager
    def hiding(self) -> Iterator[None]:
        """Suspend the recording of operations, because the module is counted as a whole."""
        self.hidden += 1
        try:
            yield
        finally:
            self.hidden -= 1

    def call(
        self,
        name: str,
        module: nn.Module,
        forward: Callable[..., object],
        rule: ModuleRule | None,
        *args: object,
        **kwargs: object,
    ) -> object:
        """Run a module's forward, and report it by its rule or by its operations."""
        if self.hidden:
            return forward(*args, **kwargs)
        if rule is not None:
            with self.hiding():
                result = _in_shape(module, partial(forward, **kwargs), *args)
                arguments = signature(forward).bind(*args, **kwargs).arguments
                called = ModuleCall(module, arguments, self.padded_rows)
                layers = None if _transformed() else rule(called)
            if layers is None:
                kind = f"{type(module).__name__} {OTHER_FORM}"
                self.miss(TRANSFORM if _transformed() else kind, name)
            else:
                self.add_module(name, module, layers)
            return result
        # A module that reported nothing and has no parameters is listed as free.
        self.stack.append((name, module))
        before = self.reports
        try:
            result = forward(*args, **kwargs)
        finally:
            self.stack.pop()
        if before == self.reports and not list(module.parameters()):
            self.reports += 1
            self.free[type(module).__name__, name] += 1
        return result

    def add_module(self, name: str, module: nn.Module, layers: Mapping[str, Layer]) -> None:
        """Report a module by the rows of its rule."""
        self.reports += 1
        title = name or type(module).__name__
        for suffix, layer in layers.items():
            row, ending = self.row(title + suffix, layer.kind), suffix.replace(".", "_")
            row.layers[layer] += 1
            parameters = dict(module.named_parameters())
            names = [key for key in parameters if key.removesuffix("_reverse").endswith(ending)]
            self.own(row, [parameters[key] for key in names])
        if all(id(parameter) in self.names for parameter in module.parameters()):
            self.covered.update(map(id, module.modules()))

    def own(self, row: CallsOfLayer, parameters: Iterable[nn.Parameter]) -> None:
        """Record which of the model's parameters belong to a row, by their names in the model."""
        of_model = [parameter for parameter in parameters if id(parameter) in self.names]
        row.parameters.update((self.names[id(parameter)], parameter) for parameter in of_model)

    def add(self, operation: str, layers: list[Layer]) -> None:
        """Report an operation at the module that is running."""
        self.reports += 1
        name, module = self.stack[-1]
        # An operation between layers has a row of its own; the only one of a layer is the layer.
        if any(True for _ in module.children()):
            row = self.row(f"{name}.{operation}" if name else operation, operation)
        else:
            row = self.row(name or type(module).__name__, type(module).__name__)
            weights = tuple(module.parameters(recurse=False))
            if all(id(weight) in self.names for weight in weights):  # else computed for this call
                self.own(row, weights)
                self.covered.add(id(module))
        row.layers.update(layers)

    def unused(self) -> None:
        """Report the parameters that no row holds: of containers, and of modules never called."""
        for name, module in self.copied.named_modules():
            if id(module) in self.covered:
                continue
            for attribute, parameter in module.named_parameters(recurse=False):
                path = f"{name}.{attribute}" if name else attribute
                self.row(path, "Parameter").parameters[path] = parameter

    def __torch_dispatch__(
        self, func: Any, types: object, args: Any = (), kwargs: Mapping[str, object] | None = None
    ) -> object:
        kwargs = dict(kwargs or {})
        name = func.name().partition("::")[2].partition(".")[0]
        base = name if name.endswith("__") else name.removesuffix("_")
        try:
            result = self.execute(func, base, args, kwargs)
        except Exception as error:
            self.note(error)
            raise
        # Operators get arguments by position, without defaults; rules read names.
        declared = func._schema.arguments  # noqa: SLF001
        arguments = {argument.name: argument.default_value for argument in declared}
        arguments.update(zip(arguments, args, strict=False))
        op = OperatorCall(base, arguments | kwargs, result, self.is_weight)
        if not self.hidden:
            self.report(func, base, op)
        if not func.is_view:
            self.follow(op)
        return result

    def note(self, error: Exception) -> None:
        """Record the place where values were needed: a forward may catch the error."""
        if not self.place_of_values and _asks_for_values(error):
            self.place_of_values = _caller() or "its call"

    def execute(self, func: Any, base: str, args: Any, kwargs: dict[str, object]) -> object:
        """Run an operation on shapes; integers that are numbers stay numbers."""
        if base in FACTORIES and kwargs.get("dtype") in (None, *FLOATING):
            return func(*args, **{**kwargs, "device": torch.device("meta")})
        # Lengths and offsets keep their values, as they decide how many steps are computed.
        if base == "_to_copy" and not args[0].is_meta and _is_number(args[0]):
            return func(*args, **{**kwargs, "device": args[0].device})
        if base in LENGTHS:
            return func(*args, **kwargs)
        # A number beside a shape becomes a shape: torch refuses to mix devices.
        tensors = _tensors((args, kwargs))
        if any(t.is_meta for t in tensors) and any(not t.is_meta for t in tensors):
            args, kwargs = tree_map_only(Tensor, lambda t: t.to("meta"), (args, kwargs))
        return func(*args, **kwargs)

    def report(self, func: Any, base: str, op: OperatorCall) -> None:
        """Count an operation, or note that it is free or unknown."""
        name, module = self.stack[-1]
        of_torch = func.namespace == "aten"
        integers = of_torch and base not in rules.PRODUCTS
        integers = integers and all(map(_is_number, (*op.tensors(), *op.results())))
        of_nothing = any(tensor.numel() == 0 for tensor in op.tensors())  # which adds nothing
        if func.is_view or base in rules.FREE or integers or of_nothing:
            if not type(module).__module__.startswith("torch.nn."):
                self.reports += 1
                self.free[base.strip("_"), name] += 1
            return
        rule = rules.OPERATORS.get(base) if of_torch else None
        complex_numbers = any(tensor.is_complex() for tensor in op.tensors())
        if complex_numbers and rule is not fourier:
            rule = None
        layers = None if rule is None else rule(op)
        if layers is None:
            self.miss(f"{func.name()} {OTHER_FORM}" if rule else func.name(), name)
            return
        self.add(layers[0].kind if layers else base, layers)

    def is_weight(self, tensor: Tensor) -> bool:
        """Return whether a tensor is a parameter, or made of parameters and constants only."""
        return self.sources.get(_storage(tensor), (None, None))[1] == "weight"

    def mark(self, tensors: Iterable[Tensor], source: Source) -> None:
        """Record that tensors are made of the input, or of parameters and constants only."""
        for tensor in tensors:
            self.sources[_storage(tensor)] = (tensor.untyped_storage(), source)

    def follow(self, op: OperatorCall) -> None:
        """Track whether a result is data or a weight: moves, cuts and casts do not change that.

        A tensor that is written into counts as a source of its new values.
        """
        # Data with weights is data; weights with constants stay weights.
        sources = {self.sources.get(_storage(tensor), (None, None))[1] for tensor in op.tensors()}
        if "data" in sources:
            self.mark(op.results(), "data")
        elif "weight" in sources:
            self.mark(op.results(), "weight")


# The errors of torch where a value is needed, or a shape that depends on values.
OF_VALUES = ("meta tensor", "Tensor.item() cannot", "no data", "data-independent", "aten::nonzero:")
FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def _in_shape(layer: nn.Module, forward: Callable[..., object], *args: object) -> object:
    """Run a layer for the shape of its result: of a batch of sequences, one step is enough."""
    data = args[0] if args else None
    if not (isinstance(layer, nn.RNNBase) and isinstance(data, Tensor) and data.shape[2:]):
        return forward(*args)
    along = int(layer.batch_first)
    states, last = cast("tuple[Tensor, object]", forward(data.narrow(along, 0, 1), *args[1:]))
    states = states.transpose(0, along).expand(data.shape[along], -1, -1).contiguous()
    return states.transpose(0, along), last


def _storage(tensor: Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata  # noqa: SLF001
    return address


def _is_number(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex())


def _asks_for_values(error: Exception) -> bool:
    return any(text in str(error) for text in OF_VALUES)


def _transformed() -> bool:
    """Return whether ``torch.vmap`` or another of ``torch.func`` runs: shapes lack a dimension."""
    return torch._C._functorch.peek_interpreter_stack() is not None  # noqa: SLF001


def _tensors(values: object) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def _caller() -> str:
    frame = sys._getframe(1)  # noqa: SLF001
    while frame is not None and frame.f_code.co_filename.startswith(OWN_FILES):
        frame = frame.f_back  # type: ignore[assignment]
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else ""
