"""Exported models taken apart, and sealed anew as a forger would."""

import numpy as np
import onnx
from onnx import helper

from sequela.formats import sealed as seals
from sequela.serving import model_facts

ABOUT, GRAPH = "about.json", "graph.onnx"


def parts_of(model: bytes) -> dict[str, bytes]:
    """Return the metadata, and the graph without them."""
    graph = onnx.load_from_string(model)
    properties = {prop.key: prop.value for prop in graph.metadata_props}
    del graph.metadata_props[:]
    content = graph.SerializeToString(deterministic=True)
    return {ABOUT: properties[model_facts.KEY].encode(), GRAPH: content}


def sealed(metadata: bytes, graph: bytes) -> bytes:
    """Return one file of both, with the seal that a forger computes."""
    model = onnx.ModelProto()
    text = metadata.decode("utf-8", "replace")
    helper.set_model_props(model, {model_facts.KEY: text, model_facts.SEAL: seals.EMPTY})
    return seals.seal(graph + model.SerializeToString(deterministic=True), model_facts.SEAL)


def segments() -> np.ndarray:
    """Return segments of noise in µV: (example, channel, time)."""
    return np.random.default_rng(0).normal(0, 50, (3, 1, 178)).astype(np.float32)
