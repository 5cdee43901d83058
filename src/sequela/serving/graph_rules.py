"""The rules for the graph of an ONNX file, which may come from a stranger.

ONNX Runtime reads tensors from other files, and runs loops without an end. So before it sees a
graph, its protocol buffer is read here: only operations that ``sequela export`` writes, and only
tensors in the file. The fields: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Iterator

from sequela.errors import DataError

OPERATIONS = {
    *("Abs", "Add", "And", "AveragePool", "Cast", "Clip", "Concat", "Constant"),
    *("ConstantOfShape", "Conv", "CumSum", "Div", "Equal", "Exp", "Expand", "Flatten", "GRU"),
    *("Gather", "GatherElements", "GatherND", "Gelu", "Gemm", "Greater", "Identity", "IsNaN"),
    *("LSTM", "Less", "Log", "LogSoftmax", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mod"),
    *("Mul", "Neg", "Not", "Pad", "Range", "ReduceLogSumExp", "ReduceMax", "ReduceMean"),
    *("ReduceMin", "ReduceSum", "Relu", "Reshape", "Round", "Scan", "ScatterElements", "Shape"),
    *("Sigmoid", "Slice", "Softmax", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "TopK"),
    *("Transpose", "TreeEnsembleRegressor", "Unsqueeze", "Where"),
}
"""The operations of exported models. A ``Scan`` ends with its input; a ``Loop`` need not end."""
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_DEEPEST = 8
_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR = range(5)
_PARTS = {
    _MODEL: {7: _GRAPH},
    _GRAPH: {1: _NODE, 5: _TENSOR},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH},
}
"""Kind of message to its fields that are messages."""
_OP_TYPE, _DOMAIN = 4, 7
_REFUSED = {
    (_MODEL, 20): "steps of training",
    (_MODEL, 25): "functions",
    (_GRAPH, 15): "sparse tensors",
    (_ATTRIBUTE, 22): "sparse tensors",
    (_ATTRIBUTE, 23): "sparse tensors",
    (_TENSOR, 13): "a tensor in another file (external data)",
}
_LOCATION = (_TENSOR, 14)


def check_graph(model: bytes, name: str) -> None:
    """Check that a model has only the operations of exported models, and no external data."""
    try:
        found = next(_others(memoryview(model), _MODEL, 0), "")
    except (IndexError, ValueError, UnicodeDecodeError) as error:
        raise DataError(
            f"{name}: cut short, damaged, or not an ONNX model ({error}); expected an ONNX file "
            "that sequela export wrote; export the run again"
        ) from error
    if found:
        raise DataError(
            f"{name}: the graph has {found}; expected the operations of models that sequela "
            "export wrote: do not use this file"
        )


def _others(data: memoryview, kind: int, depth: int) -> Iterator[str]:
    """Yield what a message holds that an exported model does not."""
    if depth > _DEEPEST:
        yield "graphs within graphs"
        return
    for field, value in _fields(data):
        if (kind, field) in _REFUSED or ((kind, field) == _LOCATION and value != 0):
            yield _REFUSED.get((kind, field), _REFUSED[_TENSOR, 13])
        elif kind == _NODE and field in {_OP_TYPE, _DOMAIN} and isinstance(value, memoryview):
            text = bytes(value).decode()
            if text not in (OPERATIONS if field == _OP_TYPE else _DOMAINS):
                yield f"the operation or domain {text[:40]!r}"
        elif isinstance(value, memoryview) and field in _PARTS.get(kind, {}):
            inner = _PARTS[kind][field]
            yield from _others(value, inner, depth + (inner == _GRAPH))


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the fields of a message: number and value."""
    place = 0
    while place < len(data):
        key, place = _number(data, place)
        wire = key & 7
        if wire == 0:
            value, place = _number(data, place)
            yield key >> 3, value
            continue
        fixed = {1: 8, 5: 4}.get(wire)
        if fixed is None and wire != 2:  # noqa: PLR2004 - groups are not used by ONNX
            raise ValueError("it is not a protocol buffer")
        size, place = (fixed, place) if fixed else _number(data, place)
        if place + size > len(data):
            raise ValueError("a part is longer than the file")
        yield key >> 3, data[place : place + size]
        place += size


def _number(data: memoryview, place: int) -> tuple[int, int]:
    """Read a number of seven bits a byte, and the place after it."""
    value = 0
    for shift in range(0, 64, 7):
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:  # noqa: PLR2004
            return value, place
    raise ValueError("a number has too many bytes")
