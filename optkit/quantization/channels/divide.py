"""Outlier channels out of what matrix products round: divided by what their weights are multiplied by, or multiplied apart in float.

x W = (x / d) (d W), and of a few channels that stick out by far, x_O W_O in float: Xiao et al. 2023, "SmoothQuant"; Dettmers et al.
2022, "LLM.int8()". One product by a vector does both, with 0 for the channels that go apart, so the range of the rest is what counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.graphs import add_constant, add_node, constant_array, constant_tensor
from optkit.quantization.operators import attribute

APART_TOTAL = "_whole"
"""What the name of a product with channels apart ends in; where it is a model's output, the name of the product without them."""


@dataclass(frozen=True)
class Division:
    """What becomes of the channels of one tensor."""

    divisor: Array
    """A positive number per channel; 1 where nothing changes."""
    apart: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """Channels that are multiplied apart, ascending."""

    def factor(self) -> Array:
        """What the tensor is multiplied by before it is rounded: 0 for channels that go apart."""
        factor = 1 / self.divisor.astype(np.float64)
        factor[self.apart] = 0
        return factor.astype(np.float32)

    def weight(self, weight: Array) -> Array:
        """The weight [channels, outputs] that goes with it."""
        divided = weight * self.divisor[:, None].astype(np.float32)
        divided[self.apart] = 0
        return np.asarray(divided)


def divide_inputs(graph: ir.Graph, names: Iterable[str], divisions: Mapping[str, Division]) -> dict[str, str]:
    """Divide what the named MatMul and Gemm nodes read and multiply their weights, in place; the graph computes what it computed.

    Returns the names of divided tensors by those of the tensors they were made from.
    """
    divided: dict[str, ir.Value] = {}
    picked: dict[str, ir.Value] = {}
    chosen = set(names)
    for node in [n for n in graph if n.name in chosen and n.op_type in ("MatMul", "Gemm")]:
        source, weight = node.inputs[0], node.inputs[1]
        assert source is not None
        assert weight is not None
        name = str(source.name)
        if name not in divisions:
            continue
        division, matrix = divisions[name], matrix_of(node)
        if name not in divided:
            divided[name] = add_node(
                node, "Mul", [source, add_constant(graph, f"{name}_smoothing", division.factor())], f"{name}_smooth"
            ).outputs[0]
            if len(division.apart):
                indices = add_constant(graph, f"{name}_apart_channels", division.apart.astype(np.int64))
                picked[name] = add_node(node, "Gather", [source, indices], f"{name}_apart", axis=-1).outputs[0]
        if name in picked:
            _add_product(node, picked[name], add_constant(graph, f"{weight.name}_apart", matrix[division.apart]))
        scaled = division.weight(matrix)
        node.replace_input_with(0, divided[name])
        node.replace_input_with(1, add_constant(graph, f"{weight.name}_smooth", scaled.T if _transposed(node) else scaled))
    return {name: str(value.name) for name, value in divided.items()}


def matrix_of(node: ir.Node) -> Array:
    """The weight of a MatMul or Gemm as [channels, outputs]."""
    array = constant_array(node.inputs[1])
    assert array is not None
    return array.T if _transposed(node) else array


def _transposed(node: ir.Node) -> bool:
    return node.op_type == "Gemm" and bool(attribute(node, "transB", 0))


def _add_product(node: ir.Node, channels: ir.Value, weight: ir.Value) -> None:
    """Add channels × weight to what the node gives, behind its bias, which the runtime fuses with the integer product."""
    last = _behind_bias(node)
    old = last.outputs[0]
    uses = list(old.uses())
    was_output = old.is_graph_output()
    product = add_node(last, "MatMul", [channels, weight], f"{node.outputs[0].name}_apart", after=True)
    total = add_node(product, "Add", [old, product.outputs[0]], f"{old.name}{APART_TOTAL}", after=True).outputs[0]
    for use in uses:
        use.node.replace_input_with(use.idx, total)
    if was_output:
        _swap_outputs(old, total)


def _swap_outputs(old: ir.Value, new: ir.Value) -> None:
    """`new` becomes the graph's output in the place of `old`, name, type and shape included."""
    graph = old.producer().graph  # type: ignore[union-attr]
    assert isinstance(graph, ir.Graph)
    name, fresh = old.name, new.name
    new.type, new.shape = old.type, old.shape
    graph.outputs[list(graph.outputs).index(old)] = new
    old.name, new.name = fresh, name


def _behind_bias(node: ir.Node) -> ir.Node:
    output = node.outputs[0]
    readers = output.consumers()
    if node.op_type == "MatMul" and len(readers) == 1 and readers[0].op_type == "Add" and not output.is_graph_output():
        vectors = [t for t in map(constant_tensor, readers[0].inputs) if t is not None and len(t.shape) == 1]
        if vectors:
            return readers[0]
    return node
