"""ONNX files of strangers: the metadata and the graph of an export, changed and sealed anew.

A second reading, onnx's own reference implementation in Python, states the probabilities that an
accepted graph computes. They must be probabilities, of as many classes as the metadata name.
"""

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from fuzz.mutators import BYTES, JSON
from fuzz.parser import Files, Mutator, Parser, Seed
from sequela.config import RunSettings
from sequela.runs.fit import train
from sequela.serving import about
from sequela.serving.export import exported
from sequela.serving.scan import looked_for
from sequela.serving.served import from_bytes

ABOUT, GRAPH, FILE = "about.json", "graph.onnx", "model.onnx"
_SAME = 1e-4


@cache
def whole() -> bytes:
    """An exported model: logistic regression on the excerpt of Bonn."""
    folder = Path(mkdtemp(prefix="fuzz-")) / "run"
    root = os.environ.pop("SEQUELA_DATA", None)
    try:
        train(
            RunSettings(model="spectral-logistic-regression", data="bonn", split="session"), folder
        )
        return exported(folder)
    finally:
        if root is not None:
            os.environ["SEQUELA_DATA"] = root


def parts_of(model: bytes) -> Files:
    """The metadata, and the graph without them."""
    graph = onnx.load_from_string(model)
    known = {each.key: each.value for each in graph.metadata_props}
    del graph.metadata_props[:]
    return {ABOUT: known[about.KEY].encode(), GRAPH: graph.SerializeToString(deterministic=True)}


def sealed(files: Files) -> Files:
    """One file of both, with the seal that a forger computes."""
    extra = onnx.ModelProto()
    said = files[ABOUT].decode("utf-8", "replace")
    helper.set_model_props(extra, {about.KEY: said, about.SEAL: about.EMPTY_SEAL})
    joined = files[GRAPH] + extra.SerializeToString(deterministic=True)
    return {FILE: about.sealed(joined)}


def segments() -> np.ndarray:
    """Segments of noise in µV: (example, channel, time)."""
    return np.random.default_rng(0).normal(0, 50, (3, 1, 178)).astype(np.float32)


class _Close:
    """Numbers that are equal up to rounding."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values, np.float64)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Close)
            and self.values.shape == other.values.shape
            and bool(np.allclose(self.values, other.values, atol=_SAME))
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self.values.tolist())


def _read(folder: Path) -> Any:
    model = from_bytes((folder / FILE).read_bytes(), FILE)
    signal = model.about["signal"]
    model.check_signal(unit="µV", sfreq=signal["sfreq"], n_chans=signal["n_chans"])
    found = model.probabilities({"signal": segments()})
    model.recalibrated(found)
    model.sets(found)
    looked_for(model, model.classes[0])
    return {"classes": list(model.classes), "probabilities": _Close(found)}


def _says(files: Files) -> Any:
    try:
        classes = json.loads(files[ABOUT])["classes"]
        graph = onnx.load_from_string(files[GRAPH])
        said: Any = ReferenceEvaluator(graph).run(["probabilities"], {"signal": segments()})
        found = np.asarray(said[0])
    except Exception:  # noqa: BLE001 (whatever it is, the second reading has no values)
        return None
    whole_rows = np.isfinite(found).all() and (abs(found.sum(-1) - 1) < 1e-2).all()
    if not whole_rows or (found < 0).any() or found.shape != (3, len(classes)):
        return None
    return {"classes": classes, "probabilities": _Close(found)}


def _of_graph(change: Callable[[Random, onnx.ModelProto], None]) -> Mutator:
    """A change of a graph; of JSON, one of its leaves."""

    def mutate(rng: Random, content: bytes) -> bytes:
        if content.startswith(b"{"):
            return JSON["leaf"](rng, content)
        try:
            model = onnx.load_from_string(content)
            change(rng, model)
        except Exception:  # noqa: BLE001 (it was changed before, and is no graph any more)
            return content
        return bytes(model.SerializeToString(deterministic=True))

    return mutate


def _weights(rng: Random, model: onnx.ModelProto) -> None:
    tensor = rng.choice(model.graph.initializer)
    values = numpy_helper.to_array(tensor).copy()
    if values.size:
        place = rng.randrange(values.size)
        values.flat[place] = rng.choice((0, -1, 1e30, np.inf, np.nan, 2**40))
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _operation(rng: Random, model: onnx.ModelProto) -> None:
    other = ("Loop", "If", "Scan", "Exp", "Neg", "Sqrt", "Log", "Shape", "Expand", "RandomUniform")
    rng.choice(model.graph.node).op_type = rng.choice(other)


def _wire(rng: Random, model: onnx.ModelProto) -> None:
    before, after = sorted(rng.sample(range(len(model.graph.node)), 2))
    node, other = model.graph.node[after], model.graph.node[before]
    if node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(other.output)


def _last(rng: Random, model: onnx.ModelProto) -> None:
    """Another function of the probabilities: more than 1, below 0, or nothing at all."""
    last = model.graph.node[-1]
    before = last.output[0]
    last.output[0] = "before"
    kind = rng.choice(("Neg", "Exp", "Log", "Sqrt", "IsNaN", "Shape", "Abs"))
    model.graph.node.append(helper.make_node(kind, ["before"], [before]))


def _external(rng: Random, model: onnx.ModelProto) -> None:
    tensor = rng.choice(model.graph.initializer)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    del tensor.external_data[:]
    tensor.external_data.add(key="location", value=rng.choice((FILE, "../secret", "/etc/passwd")))


def _shape(rng: Random, model: onnx.ModelProto) -> None:
    tensor = rng.choice(model.graph.initializer)
    if tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice((0, -1, 1, 7, 2**31, 2**62))


def _type(rng: Random, model: onnx.ModelProto) -> None:
    of = rng.choice([*model.graph.input, *model.graph.output])
    if rng.random() < 0.5:
        of.type.tensor_type.elem_type = rng.choice((2, 7, 8, 9, 10, 11, 16))
    elif rng.random() < 0.5:
        of.name = rng.choice(("codes", "signal", "x", "probabilities", ""))
    else:
        sizes = of.type.tensor_type.shape.dim
        sizes[rng.randrange(len(sizes))].dim_value = rng.choice((0, 1, 2, 178, 2**40))


def _large(rng: Random, model: onnx.ModelProto) -> None:
    """The input becomes very large within the graph."""
    size = rng.choice((10**4, 10**6, 10**11))
    model.graph.initializer.append(numpy_helper.from_array(np.array([size, 1, 178]), "large"))
    first = next(node for node in model.graph.node if "signal" in node.input)
    first.input[[*first.input].index("signal")] = "grown"
    model.graph.node.insert(0, helper.make_node("Expand", ["signal", "large"], ["grown"]))


def _functions(_: Random, model: onnx.ModelProto) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    opsets = [helper.make_opsetid("", 20)]
    model.functions.append(helper.make_function("ours", "F", ["x"], ["y"], [node], opsets))


def _of_about(change: Mutator) -> Mutator:
    """A change of the metadata; of a graph, one of its weights."""
    return lambda rng, content: (
        change(rng, content) if content.startswith(b"{") else _of_graph(_weights)(rng, content)
    )


GRAPHS = (_weights, _operation, _wire, _last, _external, _shape, _type, _large, _functions)
CHANGES = {f"graph: {each.__name__[1:]}": _of_graph(each) for each in GRAPHS}

ABOUTS = ("leaf", "member missing", "member renamed", "value in a list", "deep")
CHANGES |= {f"about: {name}": _of_about(JSON[name]) for name in ABOUTS}

PARSERS = (
    Parser(
        "onnx",
        lambda: [Seed(parts_of(whole()), sealed)],
        _read,
        {**CHANGES, "bit flip": BYTES["bit flip"], "cut": BYTES["cut"]},
        _says,
    ),
)
