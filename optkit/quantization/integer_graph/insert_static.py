"""Put Q/DQ pairs around chosen nodes so that ONNX Runtime runs them in integers, with ranges known beforehand."""

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.affine import Grid, grid_for, quantize_bias, quantize_weight
from optkit.quantization.graphs import (
    add_constant,
    add_node,
    all_graphs,
    constant_array,
    constant_tensor,
    graph_of,
    home_of,
    shared_constant,
)
from optkit.quantization.integer_graph.fill_channels import fill_channels
from optkit.quantization.integer_graph.fill_outputs import fill_outputs
from optkit.quantization.integer_graph.hard_gates import add_hard_gate, is_hard_gate
from optkit.quantization.operators import activation_after, channel_axis, moves, weight_of


def tensors_to_observe(nodes: Collection[ir.Node], float_outputs: Collection[str] = ()) -> dict[str, ir.Value]:
    """The float tensors whose ranges must be known to quantize `nodes`, by name; what a node only moves keeps its grid."""
    wanted: dict[str, ir.Value] = {}
    for node in nodes:
        made = [] if node.name in float_outputs or moves(node) else outputs_of(node)
        for value in (*activation_inputs(node), *made):
            wanted[str(value.name)] = value
    return wanted


def activation_inputs(node: ir.Node) -> list[ir.Value]:
    """The computed float inputs of a node."""
    values = node.inputs[:1] if moves(node) or weight_of(node) is not None else node.inputs
    return [v for v in values if v is not None and constant_tensor(v) is None]


def output_of(node: ir.Node) -> ir.Value:
    """The tensor that is quantized after a node: behind the activation that fuses with it."""
    return (activation_after(node) if weight_of(node) is not None or node.op_type in ("Add", "Mul", "LeakyRelu") else node).outputs[0]


def outputs_of(node: ir.Node) -> list[ir.Value]:
    """The tensors that are quantized after a node."""
    return list(node.outputs) if moves(node) else [output_of(node)]


def insert_static(
    model: ir.Model,
    names: Collection[str],
    grids: Mapping[str, Grid],
    float_outputs: Collection[str] = (),
    weights: Mapping[str, tuple[Array, Array]] | None = None,
) -> None:
    """Quantize the named nodes in place, in branches and loop bodies too.

    `grids` gives the uint8 grid of each tensor by name; MatMuls in `float_outputs` keep a float output, which ONNX Runtime
    fuses into MatMulIntegerToFloat. `weights` may give int8 weights with scales already chosen, by node name. Convolutions are given
    channels of zeros to read, and to write, where that is faster (fill_channels.py, fill_outputs.py).
    """
    for graph in reversed(list(all_graphs(model))):  # inner graphs first: they look tensors of outer ones up by the names these have
        _insert_in(graph, names, grids, float_outputs, weights or {})
    fill_outputs(model)
    fill_channels(model)


def _insert_in(
    graph: ir.Graph,
    names: Collection[str],
    grids: Mapping[str, Grid],
    float_outputs: Collection[str],
    weights: Mapping[str, tuple[Array, Array]],
) -> None:
    nodes = [n for n in graph if n.name in names]
    inside = set(nodes) | {activation_after(n) for n in nodes}
    produced = dict.fromkeys(v for n in nodes if n.name not in float_outputs for v in outputs_of(n))
    pairs = _Pairs(graph, grids, {n for n in nodes if is_hard_gate(n)})
    for value in dict.fromkeys([*(v for node in nodes for v in activation_inputs(node)), *produced]):
        after = pairs.around(value)
        readers = [u for u in value.uses() if u.node not in pairs.made]
        wants = {u.node for u in readers if u.node in inside and value in activation_inputs(u.node)}
        floats = {u.node for u in readers if u.node not in wants and u.node.op_type != "Shape"} if value in produced else set()
        single = _once(after) if len(floats) > 1 else after
        for use in readers:
            if use.node.op_type == "Shape" and value in produced:
                use.node.replace_input_with(use.idx, pairs.integers[after])
            elif use.node in wants or value in produced:
                use.node.replace_input_with(use.idx, after if use.node in wants else single)
        if value in produced and value.is_graph_output():
            _take_over_output(graph, value, after)
    for node in nodes:
        source = pairs.grid_behind(node.inputs[0])
        if weight_of(node) is not None:
            _quantize_weighted(graph, node, source, weights.get(str(node.name)))
        else:
            for i, operand in enumerate(node.inputs):
                if not moves(node) and operand is not None and constant_tensor(operand) is not None:
                    node.replace_input_with(i, _quantized_constant(graph, node, operand))


def _once(after: ir.Value) -> ir.Value:
    """The same floats behind a Sum of one. ONNX Runtime gives every reader a DequantizeLinear of its own, and then finds neither
    GELU nor SiLU nor LayerNormalization in nodes that read one tensor twice.
    """
    producer = after.producer()
    assert producer is not None
    found = add_node(producer, "Sum", [after], f"{after.name}_once", after=True).outputs[0]
    found.type = ir.TensorType(ir.DataType.FLOAT)
    return found


class _Pairs:
    """The Q/DQ pairs made so far."""

    def __init__(self, graph: ir.Graph, grids: Mapping[str, Grid], gates: Collection[ir.Node]) -> None:
        self.graph, self.grids, self.gates = graph, grids, gates
        self.made: set[ir.Node] = set()
        self.behind: dict[ir.Value, Grid] = {}
        self.integers: dict[ir.Value, ir.Value] = {}
        """Dequantized → quantized: what asks for the shape alone need not wait for the floats."""

    def around(self, value: ir.Value) -> ir.Value:
        grid = self.grids[str(value.name)]
        scale = add_constant(self.graph, f"{value.name}_scale", np.float32(grid.scale))
        zero = add_constant(self.graph, f"{value.name}_zero_point", np.uint8(grid.zero_point))
        producer = value.producer()
        placed = producer is not None and producer.graph is self.graph
        anchor = producer if producer is not None and placed else self.graph[0]
        if producer in self.gates:
            read = anchor.inputs[0]
            assert read is not None
            integers = add_hard_gate(anchor, self.integers[read], self.behind[read])
        else:
            anchor = add_node(anchor, "QuantizeLinear", [value, scale, zero], f"{value.name}_quantized", after=placed)
            integers = anchor.outputs[0]
        dq = add_node(anchor, "DequantizeLinear", [integers, scale, zero], f"{value.name}_dequantized", after=True)
        self.made |= {anchor, dq}
        self.behind[dq.outputs[0]], self.integers[dq.outputs[0]] = grid, integers
        dq.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        return dq.outputs[0]

    def grid_behind(self, value: ir.Value | None) -> Grid | None:
        return self.behind.get(value) if value is not None else None


def _take_over_output(graph: ir.Graph, value: ir.Value, after: ir.Value) -> None:
    """The model's output keeps its name, type and shape; the float tensor behind it gets another."""
    name = value.name
    value.name = f"{name}_float"
    after.name, after.type, after.shape = name, value.type, value.shape
    graph.outputs[:] = [after if v is value else v for v in graph.outputs]


def _quantize_weighted(graph: ir.Graph, node: ir.Node, source: Grid | None, given: tuple[Array, Array] | None) -> None:
    weight = constant_array(node.inputs[1])
    assert weight is not None
    assert source is not None
    axis = channel_axis(node)
    integers, scale = given if given is not None else quantize_weight(weight, axis)
    bias = constant_array(node.inputs[2]) if len(node.inputs) > 2 else None
    if bias is not None and node.op_type == "Gemm":
        bias = np.broadcast_to(bias.reshape(-1) if bias.size > 1 else bias.reshape(()), scale.shape)
    if bias is not None:
        integers, scale = _with_room_for(bias, source.scale, integers, scale, axis)
    name, home = str(node.inputs[1].name), home_of(node.inputs[1], graph)  # type: ignore[union-attr]
    node.replace_input_with(1, _dequantized(node, shared_constant(home, f"{name}_int8", integers), scale, axis))
    if bias is not None:
        ints, bias_scale = quantize_bias(bias, source.scale, scale)
        label, home = str(node.inputs[2].name), home_of(node.inputs[2], graph)  # type: ignore[union-attr]
        node.replace_input_with(2, _dequantized(node, shared_constant(home, f"{label}_int32", ints), bias_scale, 0, "int32"))


def _with_room_for(bias: Array, input_scale: float, integers: Array, scale: Array, axis: int) -> tuple[Array, Array]:
    """The weights on scales with which every bias fits into 30 bits: a channel that has next to no weights may have a bias all the same."""
    least = (np.abs(bias.astype(np.float64)) / (input_scale * 2**30)).astype(np.float32)
    wide = np.maximum(scale, least)
    ratio = (scale / wide).reshape([-1 if a == axis else 1 for a in range(integers.ndim)])
    return np.rint(integers * ratio).astype(np.int8), wide


def _dequantized(node: ir.Node, integers: ir.Value, scale: Array, axis: int, kind: str = "int8") -> ir.Value:
    graph = home_of(integers, graph_of(node))
    scales = shared_constant(graph, f"{integers.name}_scale", scale.astype(np.float32))
    zero = shared_constant(graph, f"{integers.name}_zero_point", np.zeros(scale.shape, np.dtype(kind)))
    made = add_node(node, "DequantizeLinear", [integers, scales, zero], f"{integers.name}_dequantized", axis=axis)
    return made.outputs[0]


def _quantized_constant(graph: ir.Graph, node: ir.Node, value: ir.Value) -> ir.Value:
    """A constant operand of Add, Mul or Concat on its own uint8 grid."""
    array = constant_array(value)
    assert array is not None
    grid = grid_for(float(array.min()), float(array.max()))
    integers = np.clip(np.rint(array / grid.scale) + grid.zero_point, 0, 255).astype(np.uint8)
    scale = add_constant(graph, f"{value.name}_scale", np.float32(grid.scale))
    zero = add_constant(graph, f"{value.name}_zero_point", np.uint8(grid.zero_point))
    made = add_node(
        node, "DequantizeLinear", [add_constant(graph, f"{value.name}_uint8", integers), scale, zero], f"{value.name}_dequantized"
    )
    return made.outputs[0]
