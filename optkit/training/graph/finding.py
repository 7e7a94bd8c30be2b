"""Which Q/DQ nodes of a graph stand for what: activations, weights, biases."""

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.errors import ModelError
from optkit.quantization.graphs import constant_array, constant_tensor
from optkit.quantization.operators import WEIGHTED, is_standard, moves
from optkit.training.graph.fake_quantization import Scale
from optkit.training.graph.quantizers import Activation, Bias, Gate, Weight

RANGES = {"uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767)}


@dataclass
class Quantizers:
    """What stands for each Q and DQ node. A part may stand for several nodes."""

    activations: dict[ir.Node, Activation] = field(default_factory=dict)
    """QuantizeLinear → what rounds there."""
    passing: dict[ir.Node, Activation] = field(default_factory=dict)
    """Nodes that leave rounded numbers as they are: DequantizeLinear, and a QuantizeLinear behind what only moves rounded numbers."""
    gates: dict[ir.Node, Gate] = field(default_factory=dict)
    """DequantizeLinear → the gate that it stands for, with the Clip before it."""
    cut: set[ir.Node] = field(default_factory=set)
    """Those Clips."""
    weights: dict[ir.Node, Weight] = field(default_factory=dict)
    biases: dict[ir.Node, Bias] = field(default_factory=dict)

    def parts(self) -> list[Activation | Weight | Bias]:
        """Each once, in the order of the graph."""
        return list(dict.fromkeys([*self.activations.values(), *self.weights.values(), *self.biases.values()]))


def find_quantizers(graph: ir.Graph, *, learn_ranges: bool, portable: bool) -> Quantizers:
    """Parts for all Q/DQ nodes of a sorted graph, with the numbers that it holds. Raises ModelError for those that cannot be followed."""
    found = Quantizers()
    known: dict[tuple[ir.Value | None, ...], Weight] = {}
    for node in graph:
        if not is_standard(node) or node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        if node.op_type == "QuantizeLinear":
            _take_quantize(found, node, learn_ranges)
        elif constant_tensor(node.inputs[0]) is None:
            _take_dequantize(found, node)
        elif (reader := _weighted_reader(node)) is not None:
            key = (node.inputs[0], node.inputs[1])
            known[key] = found.weights[node] = known.get(key) or _weight(node, reader, learn_ranges, portable)
    for node in graph:
        if is_standard(node) and node.op_type in ("Conv", "Gemm") and len(node.inputs) > 2 and node.inputs[2] is not None:
            _take_bias(found, node)
    return found


def _take_quantize(found: Quantizers, node: ir.Node, learned: bool) -> None:
    scale, zero = _grid(node)
    maker = _behind_moves(node.inputs[0])
    before = found.passing.get(maker) if maker is not None else None
    if before is not None and before in found.activations.values() and _same_grid(node, maker):
        found.passing[node] = before
        return
    import torch

    low, high = RANGES[zero.dtype.name]
    clipped = node.inputs[0].producer() if node.inputs[0] is not None else None
    grows = clipped is None or clipped.op_type != "Clip"
    part = Activation(Scale(torch.from_numpy(scale.reshape(()).copy()), learned=learned, grows=grows), low - int(zero), high - int(zero))
    found.activations[node] = part


def _take_dequantize(found: Quantizers, node: ir.Node) -> None:
    if _take_gate(found, node):
        return
    maker = _behind_moves(node.inputs[0])
    part = None if maker is None else found.activations.get(maker) or found.passing.get(maker)
    if part is None or not _same_grid(node, maker):
        what = f"node {node.name!r} (DequantizeLinear) reads integers that no QuantizeLinear of the same scale and zero point made"
        raise ModelError(what, hint="give the float model, or one that quantize_static made")
    found.passing[node] = part


def _take_gate(found: Quantizers, node: ir.Node) -> bool:
    """Whether a node reads integers, cut off or not, on another grid than the one that they were made for: then it is a gate."""
    maker = node.inputs[0].producer() if node.inputs[0] is not None else None
    clip = maker if maker is not None and maker.op_type == "Clip" and is_standard(maker) else None
    maker = clip.inputs[0].producer() if clip is not None and clip.inputs[0] is not None else maker
    part = found.activations.get(maker) if maker is not None else None
    if maker is None or part is None:
        return False
    (_, zero), (scale, its_zero) = _grid(maker), _grid(node)
    if its_zero >= zero:  # the gate is above zero where what it reads is zero
        return False
    ends = [constant_array(v) for v in clip.inputs[1:]] if clip is not None else []
    low, high = (int(end) if end is not None else limit for end, limit in zip([*ends, None, None], RANGES[zero.dtype.name], strict=False))
    found.gates[node] = Gate(part, low - int(zero), high - int(zero), float(scale.reshape(())), int(its_zero) - int(zero))
    found.cut |= {clip} if clip is not None else set()
    return True


def _behind_moves(value: ir.Value | None) -> ir.Node | None:
    """The node that made a tensor, seen through nodes that only copy or pick its values, or put zeros beside them."""
    maker = value.producer() if value is not None else None
    while maker is not None and (moves(maker) or pads_with_zero(maker)) and maker.inputs and maker.inputs[0] is not None:
        maker = maker.inputs[0].producer()
    return maker


def pads_with_zero(node: ir.Node) -> bool:
    """Whether a node is a Pad of integers with what stands for zero on the grid of those who read them."""
    if node.op_type != "Pad" or not is_standard(node) or len(node.inputs) != 3:
        return False
    readers, value = node.outputs[0].consumers(), constant_array(node.inputs[2])
    grids = all(each.op_type == "DequantizeLinear" for each in readers)
    return bool(readers) and grids and value is not None and all(int(_grid(each)[1]) == int(value.reshape(())) for each in readers)


def _grid(node: ir.Node) -> tuple[Array, Array]:
    scale = constant_array(node.inputs[1])
    zero = constant_array(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else np.zeros((), np.uint8)
    if scale is None or zero is None or scale.size != 1 or zero.size != 1 or scale.dtype != np.float32 or zero.dtype.name not in RANGES:
        what = f"node {node.name!r} ({node.op_type}) has no constant float32 scale and integer zero point, one for the tensor"
        raise ModelError(what, hint="give the float model, or one that quantize_static made")
    return scale, zero.reshape(())


def _same_grid(node: ir.Node, other: ir.Node | None) -> bool:
    if other is None:
        return False
    (scale, zero), (its_scale, its_zero) = _grid(node), _grid(other)
    return bool(scale.reshape(()) == its_scale.reshape(())) and int(zero) == int(its_zero)


def _weighted_reader(node: ir.Node) -> ir.Node | None:
    """The layer whose weight a DequantizeLinear gives, where its integers are int8 without zero point and nothing else reads it."""
    integers, scale = constant_tensor(node.inputs[0]), constant_tensor(node.inputs[1])
    zero = constant_array(node.inputs[2]) if len(node.inputs) > 2 else None
    if integers is None or scale is None or integers.dtype != ir.DataType.INT8 or scale.dtype != ir.DataType.FLOAT:
        return None
    uses = list(node.outputs[0].uses())
    plain = (zero is None or not zero.any()) and not node.attributes.get_int("block_size", 0)
    if not plain or not uses or node.outputs[0].is_graph_output() or len(integers.shape) < 2:
        return None
    fits = all(is_standard(use.node) and use.node.op_type in WEIGHTED and use.idx == 1 for use in uses)
    return uses[0].node if fits else None


def _weight(node: ir.Node, reader: ir.Node, learned: bool, portable: bool) -> Weight:
    import torch

    integers, scale = constant_array(node.inputs[0]), constant_array(node.inputs[1])
    assert integers is not None
    assert scale is not None
    several = scale.size > 1
    axis = node.attributes.get_int("axis", 1) % integers.ndim if several else None
    held = torch.from_numpy(scale.reshape(-1 if several else ()).copy())
    return Weight(reader, torch.from_numpy(integers.copy()), Scale(held, learned=learned), axis, portable=portable)


def _take_bias(found: Quantizers, node: ir.Node) -> None:
    """Where the input and the weight are quantized the bias has the scale of both together, whatever they become."""
    import torch

    maker = node.inputs[2].producer() if node.inputs[2] is not None else None
    before, weight = (value.producer() if value is not None else None for value in node.inputs[:2])
    if maker is None or maker.op_type != "DequantizeLinear" or before not in found.passing or weight not in found.weights:
        return
    integers, scale = constant_array(maker.inputs[0]), constant_array(maker.inputs[1])
    if integers is None or scale is None or integers.dtype != np.int32:
        return
    real = torch.from_numpy((integers.astype(np.float64) * scale).astype(np.float32))
    found.biases[maker] = Bias(real, found.passing[before].scale, found.weights[weight].scale)
