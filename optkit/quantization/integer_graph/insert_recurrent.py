"""LSTMs whose weights stay integers: ONNX Runtime's DynamicQuantizeLSTM reads the range of input and state off each step.

There is no such kernel for GRU and RNN, so those stay float; their weights can still be stored in 8 bits.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.affine import quantize_weight
from optkit.quantization.graphs import add_constant, add_node, constant_array, constant_tensor, home_of, shared_constant
from optkit.quantization.integer_graph.saturation import fit_pairs
from optkit.quantization.operators import attribute, is_standard

RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
RUNTIME_DOMAIN = "com.microsoft"
INPUTS_IN_COMMON = 8
"""X, W, R, B, sequence_lens, initial_h, initial_c, P: both operators have them in this order; the integer one has scales after them."""
WEIGHTS = (1, 2)
BIAS = 3


class RoundedGates(NamedTuple):
    """int8 weights [directions, units, length], their float32 scales [directions, units], and the bias that goes with them."""

    integers: tuple[Array, Array]
    """Of W and of R."""
    scales: tuple[Array, Array]
    bias: Array | None
    """[directions, 2 × units]; None where the node has none that is constant."""


def can_be_recurrent(node: ir.Node) -> bool:
    """Whether an LSTM has constant float weights and the only layout that the kernel knows."""
    if not is_standard(node) or node.op_type != "LSTM" or len(node.inputs) < 3 or attribute(node, "layout", 0):
        return False
    tensors = [constant_tensor(node.inputs[place]) for place in WEIGHTS]
    return all(t is not None and t.dtype == ir.DataType.FLOAT and len(t.shape) == 3 and t.size for t in tensors)


def insert_recurrent(
    model: ir.Model, graph: ir.Graph, names: Collection[str], *, portable: bool, given: Mapping[str, RoundedGates] | None = None
) -> None:
    """Replace the named LSTM nodes of `graph` by DynamicQuantizeLSTM, in place; its weights are int8 with a scale for every gate's unit.

    `portable` keeps pairs of products within 16 bits (see `saturation`); `given` may hold weights already rounded, by node name.
    """
    for node in [n for n in graph if n.name in names and can_be_recurrent(n)]:
        inputs: list[ir.Value | None] = [*node.inputs, *[None] * (INPUTS_IN_COMMON - len(node.inputs))]
        extra: list[ir.Value | None] = []
        learned = (given or {}).get(str(node.name))
        if learned is not None:
            correct_gates(graph, node, learned)
            inputs[: len(node.inputs)] = node.inputs
        for place in WEIGHTS:
            weight, name = constant_array(node.inputs[place]), str(node.inputs[place].name)  # type: ignore[union-attr]
            assert weight is not None
            if learned is not None:
                integers, scale = np.ascontiguousarray(learned.integers[place - 1].swapaxes(1, 2)), learned.scales[place - 1]
            else:
                integers, scale = _rounded(node, weight, portable=portable)
            home = home_of(node.inputs[place], graph)
            inputs[place] = shared_constant(home, f"{name}_int8", integers)
            extra.append(shared_constant(home, f"{name}_scale", scale))
            extra.append(shared_constant(home, f"{name}_zero_point", np.zeros(scale.shape, np.int8)))
        _replace(graph, node, [*inputs, *extra])
        model.opset_imports.setdefault(RUNTIME_DOMAIN, 1)


def correct_gates(graph: ir.Graph, node: ir.Node, learned: RoundedGates) -> None:
    """Give a recurrent node the bias that makes up for its rounded weights."""
    if learned.bias is not None:
        name = str(node.inputs[BIAS].name)  # type: ignore[union-attr]
        node.replace_input_with(BIAS, add_constant(graph, f"{name}_corrected", learned.bias))


def _rounded(node: ir.Node, weight: Array, *, portable: bool) -> tuple[Array, Array]:
    """Integers [directions, length of the sum, units] and scales [directions, units] for a weight [directions, units, length]."""
    pairs = []
    for matrix in np.swapaxes(weight, 1, 2):
        integers, scale = quantize_weight(np.ascontiguousarray(matrix), 1)
        pairs.append(fit_pairs(node, matrix, integers, scale) if portable else (integers, scale))
    return np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs])


def _replace(graph: ir.Graph, node: ir.Node, inputs: list[ir.Value | None]) -> None:
    made = add_node(node, "DynamicQuantizeLSTM", inputs, f"{node.name}_int8", outputs=len(node.outputs), domain=RUNTIME_DOMAIN)
    for name, attr in node.attributes.items():
        if name != "layout":
            made.attributes[name] = attr
    for old, new in zip(node.outputs, made.outputs, strict=True):
        told, new.type, new.shape = old.name, old.type, old.shape
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        old.name, new.name = None, told
    graph.remove(node, safe=True)
