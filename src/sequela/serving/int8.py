"""The weights of an exported model in 8 bits."""

from typing import TYPE_CHECKING

from sequela.errors import ModelError
from sequela.files import temporary

if TYPE_CHECKING:
    import onnx


def quantised(graph: "onnx.ModelProto") -> "onnx.ModelProto":
    """The graph with the weights of its products and LSTMs as integers of 8 bits.

    Numbers are quantised as they come (dynamic quantisation of ONNX Runtime). GRUs and what is
    computed in double precision stay as they are.

    Raises:
        ModelError: If nothing in it can be quantised.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with temporary() as work:
        onnx.save(graph, work / "model.onnx")
        quantize_dynamic(work / "model.onnx", work / "int8.onnx", weight_type=QuantType.QInt8)
        found = onnx.load(work / "int8.onnx")
    integers = {
        each.name for each in found.graph.initializer if each.data_type == onnx.TensorProto.INT8
    }
    if not integers:
        raise ModelError(
            "nothing in this model can be stored in 8 bits: leave --int8 out, or choose a network"
        )
    return found
