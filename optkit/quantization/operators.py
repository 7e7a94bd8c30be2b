"""What ONNX Runtime computes in integers, and how each operator wants it."""

from collections.abc import Sequence
from math import prod

import onnx_ir as ir

from optkit.quantization.graphs import all_graphs, constant_tensor

WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
"""Multiply activations by constant weights: where time and bytes are."""

ELEMENTWISE = frozenset({"Add", "Mul", "Sigmoid", "HardSigmoid", "LeakyRelu", "GlobalAveragePool", "AveragePool", "Concat", "Softmax"})
"""Have integer kernels of their own (QLinearAdd, …) when every input and the output is quantized; HardSigmoid: see hard_gates.py."""

MOVERS = frozenset(
    {
        "Reshape",
        "Transpose",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "MaxPool",
        "Slice",
        "Gather",
        "Split",
        "Resize",
        "DepthToSpace",
        "SpaceToDepth",
        "Tile",
    }
)
"""Copy or pick values: input and output share one grid."""

FUSED_ACTIVATIONS = frozenset({"Relu", "Clip"})
"""Vanish into the saturation of the Q that follows them."""

WEIGHT_INPUT = 1
INPUT_CHANNELS, OUTPUT_CHANNELS, FEWEST_OUTPUT_CHANNELS = 4, 8, 16
"""Multiples of channels, and how many at least, with which a convolution in integers reads its input where it lies (x86)."""
MOST_EMPTY = 49
"""Weights of zero for each output; with more of them there is more to multiply than there was to copy."""


def moves(node: ir.Node) -> bool:
    """Whether a node only copies or picks values."""
    if not is_standard(node) or node.op_type not in MOVERS:
        return False
    return node.op_type != "Resize" or _picks_nearest(node)


def _picks_nearest(node: ir.Node) -> bool:
    """Whether a Resize copies pixels; others mix them, in float."""
    mode = node.attributes.get("mode")
    return mode is None or mode.as_string() == "nearest"


def is_standard(node: ir.Node) -> bool:
    return node.domain in ("", "ai.onnx")


def weight_of(node: ir.Node) -> ir.TensorProtocol | None:
    """The constant float weight of a Conv, Gemm or MatMul, or None if the node has none that can be quantized."""
    if not is_standard(node) or node.op_type not in WEIGHTED or len(node.inputs) <= WEIGHT_INPUT:
        return None
    tensor = constant_tensor(node.inputs[WEIGHT_INPUT])
    if tensor is None or tensor.dtype != ir.DataType.FLOAT or len(tensor.shape) < 2 or constant_tensor(node.inputs[0]) is not None:
        return None
    if node.op_type == "Gemm" and (
        attribute(node, "alpha", 1.0) != 1.0 or attribute(node, "beta", 1.0) != 1.0 or attribute(node, "transA", 0)
    ):
        return None
    if node.op_type == "Gemm" and not _adds_per_column(node):
        return None
    if node.op_type == "MatMul" and len(tensor.shape) != 2:
        return None
    return tensor


def _adds_per_column(node: ir.Node) -> bool:
    """Whether a Gemm's bias, where it is constant, is the same for every row: integer kernels know no other."""
    bias = constant_tensor(node.inputs[2]) if len(node.inputs) > 2 else None
    return bias is None or len(bias.shape) < 2 or bias.shape[0] == 1


def channel_axis(node: ir.Node) -> int:
    """The axis of the weight that holds output channels."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "Gemm":
        return 0 if attribute(node, "transB", 0) else 1
    return 1


def attribute(node: ir.Node, name: str, default: float) -> float:
    found = node.attributes.get(name)
    return default if found is None else found.value


def empty_channels(node: ir.Node, shape: Sequence[int]) -> int:
    """How many channels of zeros a convolution with weights of this shape had better read behind its own (see fill_channels.py)."""
    if node.op_type != "Conv" or len(shape) < 3 or attribute(node, "group", 1) != 1:
        return 0
    outputs, inputs, *kernel = shape
    count = -inputs % INPUT_CHANNELS
    gathers = outputs < FEWEST_OUTPUT_CHANNELS or outputs % OUTPUT_CHANNELS or count * prod(kernel) > MOST_EMPTY
    return 0 if gathers else count


def activation_after(node: ir.Node) -> ir.Node:
    """The Relu or Clip that is the only reader of the node's output and melts into its quantization; else the node itself."""
    output = node.outputs[0]
    readers = output.consumers()
    if len(readers) != 1 or output.is_graph_output():
        return node
    reader = readers[0]
    fuses = is_standard(reader) and reader.op_type in FUSED_ACTIVATIONS and reader.graph is node.graph
    fixed = all(constant_tensor(v) is not None for v in reader.inputs[1:] if v is not None)
    return reader if fuses and fixed else node


def weighted_nodes(model: ir.Model) -> list[ir.Node]:
    """Every Conv, Gemm and MatMul with a float weight, in branches and loop bodies too, in order."""
    return [n for g in all_graphs(model) for n in g if weight_of(n) is not None]
