"""ONNX files of strangers: metadata and graph of an export, changed and sealed anew.

The second reader is onnx's own reference implementation in Python. An accepted graph must give its
probabilities, of as many classes as the metadata name.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from tests.fuzz.damage import Case, Files, changed_bytes, changed_value, examples
from tests.serving.forging import ABOUT, GRAPH, parts_of, sealed, segments

from sequela.serving.scan import looked_for
from sequela.serving.served_model import from_bytes

FILE = "model.onnx"
OPERATIONS = ("Loop", "If", "Scan", "Exp", "Neg", "Sqrt", "Log", "Shape", "Expand", "RandomUniform")
LAST = ("Neg", "Exp", "Log", "Sqrt", "IsNaN", "Shape", "Abs")


class Close:
    """Numbers that are equal up to rounding."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values, np.float64)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Close)
            and self.values.shape == other.values.shape
            and bool(np.allclose(self.values, other.values, atol=1e-4))
        )

    __hash__ = None  # type: ignore[assignment]


def read(folder: Path) -> Any:
    model = from_bytes((folder / FILE).read_bytes(), FILE)
    signal = model.about["signal"]
    model.check_signal(unit="µV", sfreq=signal["sfreq"], n_chans=signal["n_chans"])
    probabilities = model.probabilities({"signal": segments()})
    model.sets(probabilities)
    looked_for(model, model.classes[0])
    return {"classes": list(model.classes), "probabilities": Close(probabilities)}


def second_probabilities(files: Files) -> Any:
    try:
        classes = json.loads(files[ABOUT])["classes"]
        graph = onnx.load_from_string(files[GRAPH])
        with np.errstate(all="ignore"):
            outputs: Any = ReferenceEvaluator(graph).run(["probabilities"], {"signal": segments()})
        values = np.asarray(outputs[0])
    except Exception:  # noqa: BLE001 (whatever it is, the second reader has no values)
        return None
    sums_to_one = np.isfinite(values).all() and (abs(values.sum(-1) - 1) < 1e-2).all()
    if not sums_to_one or (values < 0).any() or values.shape != (3, len(classes)):
        return None
    return {"classes": classes, "probabilities": Close(values)}


def changed(content: bytes) -> st.SearchStrategy[bytes]:
    """Change the metadata or the graph; one of ten is damaged."""
    edited = changed_value(content) if content.startswith(b"{") else changed_graph(content)
    return st.integers(0, 9).flatmap(lambda n: edited if n else changed_bytes(content))


@st.composite
def changed_graph(draw: st.DrawFn, content: bytes) -> bytes:
    try:
        model = onnx.load_from_string(content)
    except DecodeError:  # it was changed before
        return content
    draw(st.sampled_from(CHANGES))(draw, model)
    return bytes(model.SerializeToString(deterministic=True))


def tensor_of(draw: st.DrawFn, model: onnx.ModelProto) -> onnx.TensorProto:
    """Draw one of the weights, which are the values of constant nodes."""
    constants = [node for node in model.graph.node if node.op_type == "Constant"]
    tensors: list[onnx.TensorProto] = [
        a.t for node in constants for a in node.attribute if a.t.dims
    ]
    assume(tensors)
    return draw(st.sampled_from(tensors))


def weights(draw: st.DrawFn, model: onnx.ModelProto) -> None:
    tensor = tensor_of(draw, model)
    values = numpy_helper.to_array(tensor).copy()
    place = draw(st.integers(0, values.size - 1))
    real = values.dtype.kind == "f"
    values.flat[place] = draw(st.sampled_from((0, -1, 7, 1e30, np.inf, np.nan)[: 6 if real else 3]))
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def operation(draw: st.DrawFn, model: onnx.ModelProto) -> None:
    draw(st.sampled_from(model.graph.node)).op_type = draw(st.sampled_from(OPERATIONS))


def wire(draw: st.DrawFn, model: onnx.ModelProto) -> None:
    """A node reads the output of an earlier one."""
    nodes = [node for node in model.graph.node if node.input and node.output]
    after = draw(st.integers(1, len(nodes) - 1))
    before = draw(st.integers(0, after - 1))
    place = draw(st.integers(0, len(nodes[after].input) - 1))
    nodes[after].input[place] = draw(st.sampled_from(nodes[before].output))


def last(draw: st.DrawFn, model: onnx.ModelProto) -> None:
    """Another function of the probabilities: more than 1, below 0, or nothing at all."""
    node = model.graph.node[-1]
    name = node.output[0]
    node.output[0] = "before"
    model.graph.node.append(helper.make_node(draw(st.sampled_from(LAST)), ["before"], [name]))


def external(draw: st.DrawFn, model: onnx.ModelProto) -> None:
    tensor = tensor_of(draw, model)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    del tensor.external_data[:]
    location = draw(st.sampled_from((FILE, "../secret", "/etc/passwd")))
    tensor.external_data.add(key="location", value=location)


def shape(draw: st.DrawFn, model: onnx.ModelProto) -> None:
    tensor = tensor_of(draw, model)
    place = draw(st.integers(0, len(tensor.dims) - 1))
    tensor.dims[place] = draw(st.sampled_from((0, -1, 1, 7, 2**31, 2**62)))


def kind(draw: st.DrawFn, model: onnx.ModelProto) -> None:
    """Another type, name or size of an input or output."""
    value = draw(st.sampled_from([*model.graph.input, *model.graph.output]))
    tensor = value.type.tensor_type
    part = draw(st.sampled_from(("type", "type", "name", "size")))
    if part == "type":
        tensor.elem_type = draw(st.sampled_from((2, 7, 8, 9, 10, 11, 16)))
    elif part == "name":
        value.name = draw(st.sampled_from(("codes", "signal", "x", "probabilities", "")))
    else:
        size = draw(st.sampled_from(tensor.shape.dim))
        size.dim_value = draw(st.sampled_from((0, 1, 2, 178, 2**40)))


def large(draw: st.DrawFn, model: onnx.ModelProto) -> None:
    """The input becomes very large within the graph."""
    size = draw(st.sampled_from((10**4, 10**6, 10**11)))
    model.graph.initializer.append(numpy_helper.from_array(np.array([size, 1, 178]), "large"))
    first = next((node for node in model.graph.node if "signal" in node.input), None)
    assume(first)
    assert first
    first.input[[*first.input].index("signal")] = "grown"
    model.graph.node.insert(0, helper.make_node("Expand", ["signal", "large"], ["grown"]))


def functions(_: st.DrawFn, model: onnx.ModelProto) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    opsets = [helper.make_opsetid("", 20)]
    model.functions.append(helper.make_function("ours", "F", ["x"], ["y"], [node], opsets))


CHANGES = (weights, operation, wire, last, external, shape, kind, large, functions)


@pytest.fixture(scope="module")
def case(file: Path) -> Case:
    parts = cache(lambda: parts_of(file.read_bytes()))
    pack = lambda files: {FILE: sealed(files[ABOUT], files[GRAPH])}  # noqa: E731
    return Case(parts, read, changed, second_probabilities, pack)


@examples()
@given(data=st.data())
def test_changed_models(case: Case, data: st.DataObject) -> None:
    case.check(data)
