"""ONNX graphs, written operation by operation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import helper, numpy_helper

from sequela.errors import ModelError

OPSET = 20
"""Version of the operators, for ONNX Runtime 1.17 or later."""
TREES = ("ai.onnx.ml", 3)
_IR = 9
_FLOAT = helper.np_dtype_to_tensor_dtype(np.dtype(np.float32))
_TYPES: dict[type[np.generic], int] = {
    np.float32: _FLOAT,
    np.int64: helper.np_dtype_to_tensor_dtype(np.dtype(np.int64)),
}


class Graph:
    """A graph to which each call adds an operation and returns the name of its output.

    Attributes:
        shapes: The shapes of the inputs: fixed sizes, and names of variable sizes.
    """

    def __init__(self) -> None:
        self.shapes: dict[str, tuple[int | str, ...]] = {}
        self._types: dict[str, type[np.generic]] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def input(
        self, name: str, shape: Sequence[int | str], dtype: type[np.generic] = np.float32
    ) -> str:
        """Declare an input; models of an ensemble share inputs of the same name.

        A size is fixed if any of them needs a fixed size.

        Raises:
            ModelError: If another model reads it in another shape.
        """
        known = self.shapes.get(name, tuple(shape))
        fixed: list[list[int | str]] = [
            [size for size in sizes if isinstance(size, int)] or [sizes[0]]
            for sizes in zip(known, shape, strict=True)
        ]
        if any(len(set(sizes)) > 1 for sizes in fixed):
            raise ModelError(
                f"the models read {name} in two shapes, {known} and {tuple(shape)}: export each "
                "alone"
            )
        self.shapes[name] = tuple(sizes[0] for sizes in fixed)
        self._types[name] = dtype
        return name

    def constant(self, value: ArrayLike, dtype: Any = None) -> str:
        """Add an array; equal arrays are stored once."""
        array = np.array(value, dtype)
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = f"c{len(self._constants)}"
            self._constants.append(numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operation with one output."""
        return self.ops(kind, *inputs, outputs=(True,), domain=domain, **attributes)[0]

    def ops(
        self,
        kind: str,
        *inputs: str,
        outputs: Sequence[bool],
        domain: str = "",
        **attributes: Any,
    ) -> list[str]:
        """Add an operation, and return the outputs marked in ``outputs``."""
        number = len(self._nodes)
        names = [f"n{number}_{i}" if asked else "" for i, asked in enumerate(outputs)]
        self._nodes.append(helper.make_node(kind, inputs, names, domain=domain, **attributes))
        return [name for name in names if name]

    def cast(self, value: str, dtype: type[np.generic]) -> str:
        """Add a conversion to another type."""
        return self.op("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """Add a change of shape: 0 keeps a size, -1 is the rest."""
        return self.op("Reshape", value, self.constant(shape, np.int64))

    def reduce(self, kind: str, value: str, *axes: int, keep: bool = False) -> str:
        """Add a ``Sum``, ``Mean`` or ``Max`` over axes."""
        return self.op(f"Reduce{kind}", value, self.constant(axes, np.int64), keepdims=int(keep))

    def slice(self, value: str, first: int, end: int, axis: int = -1) -> str:
        """Add a slice of an axis."""
        ends = [self.constant([each], np.int64) for each in (first, end, axis)]
        return self.op("Slice", value, *ends)

    def unsqueeze(self, value: str, axis: int) -> str:
        """Add a new axis of size 1."""
        return self.op("Unsqueeze", value, self.constant([axis], np.int64))

    def model(self, output: str, classes: int) -> onnx.ModelProto:
        """Return the whole model, with its output named ``probabilities``."""
        nodes = [*self._nodes, helper.make_node("Identity", [output], ["probabilities"])]
        return onnx_model(nodes, self._inputs(), classes, self._constants)

    def _inputs(self) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, _TYPES[self._types[name]], shape)
            for name, shape in self.shapes.items()
        ]


def onnx_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    classes: int,
    constants: Sequence[onnx.TensorProto],
) -> onnx.ModelProto:
    """Make a model with one output, ``probabilities``: float32 (batch, class)."""
    output = helper.make_tensor_value_info("probabilities", _FLOAT, ["batch", classes])
    graph = helper.make_graph(nodes, "sequela", inputs, [output], constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(*TREES)]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=_IR, producer_name="sequela", producer_version=""
    )
