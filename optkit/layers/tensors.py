"""The float tensors of a model's main graph that depend on its inputs, in the order of the graph."""

from collections.abc import Container
from dataclasses import dataclass
from functools import cached_property

import onnx_ir as ir

from optkit.quantization.graphs import constant_tensor

PRODUCTS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm", "LSTM", "GRU", "RNN", "FusedConv", "Attention", "QAttention"})
ENDINGS = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})
"""They squeeze scores into probabilities, in which errors hide."""
RESHAPING = frozenset({"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose"})
FUSED = frozenset({"Relu", "Clip"})
CONVERTING = frozenset({"QuantizeLinear", "DequantizeLinear", "Cast"})


@dataclass(frozen=True)
class Graph:
    """A model and where its tensors are."""

    model: ir.Model

    @cached_property
    def computed(self) -> dict[str, ir.Value]:
        """Every tensor of the main graph that depends on an input, by name, in order."""
        moving = {value for value in self.model.graph.inputs if not value.is_initializer()}
        found = {}
        for node in self.model.graph:
            if any(value in moving for value in node.inputs if value is not None) or node.op_type in ("If", "Loop", "Scan"):
                moving.update(node.outputs)
                found.update({value.name: value for value in node.outputs if value.name})
        return found

    @cached_property
    def nested(self) -> int:
        """Tensors inside branches and loop bodies."""
        return sum(len(node.outputs) for graph in self.model.graph.subgraphs() for node in graph if node.op_type != "Constant")


def dequantized(value: ir.Value) -> ir.Value | None:
    """What readers of a tensor see of it where a Q/DQ pair follows."""
    for use in value.uses():
        if use.node.op_type == "QuantizeLinear" and use.idx == 0:
            for next_use in use.node.outputs[0].uses():
                if next_use.node.op_type == "DequantizeLinear" and next_use.idx == 0:
                    return next_use.node.outputs[0]
    return None


@dataclass(frozen=True)
class Spellings:
    """All tensors that stand for one: before a Q/DQ pair, behind it, and in other float types."""

    values: tuple[ir.Value, ...]
    between: frozenset[ir.Node]
    """Quantize, dequantize and cast nodes that make one of the other."""


def spellings(value: ir.Value, floats: Container[str]) -> Spellings:
    """What stands for `value`; `floats` are the names of the graph's float tensors."""
    source = value
    while (node := source.producer()) is not None and node.op_type in CONVERTING:
        behind = node.inputs[0]
        if behind is None or constant_tensor(behind) is not None or (node.op_type == "Cast" and behind.name not in floats):
            break
        source = behind
    values, between = [source], set()
    for here in values:
        for use in here.uses():
            made = use.node.outputs[0]
            if use.idx or use.node.op_type not in CONVERTING or (use.node.op_type == "Cast" and made.name not in floats):
                continue
            if use.node.op_type == "QuantizeLinear" and dequantized(here) is None:
                continue
            between.add(use.node)
            values.append(made)
    return Spellings(tuple(v for v in values if v.name in floats), frozenset(between))


def product_of(value: ir.Value, until: Container[str] = ()) -> ir.Node | None:
    """The product that a tensor comes from, seen through activations, biases and norms; none where a tensor in `until` is between.

    Activations that are fused with a product do not separate it from its result.
    """
    node = value.producer()
    while node is not None and node.op_type not in PRODUCTS:
        moving = [v for v in node.inputs if v is not None and v.producer() is not None and constant_tensor(v) is None]
        if len(set(moving)) != 1 or (moving[0].name in until and node.op_type not in FUSED):
            return None
        node = moving[0].producer()
    return node


def scores_behind(output: ir.Value) -> ir.Value:
    """What an output is made of: where it holds probabilities, the scores that they come from."""
    value = output
    while (node := value.producer()) is not None and node.op_type in RESHAPING and node.inputs[0] is not None:
        value = node.inputs[0]
    if node is not None and node.op_type in ENDINGS and node.inputs[0] is not None and node.inputs[0].producer() is not None:
        return node.inputs[0]
    return output
