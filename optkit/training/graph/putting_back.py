"""What a graph learned as a module, written into the graph."""

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.graphs import prune_unused, shared_constant
from optkit.quantization.integer_graph.saturation import fit_pairs
from optkit.training.graph.module import Graph
from optkit.training.graph.quantizers import Weight

if TYPE_CHECKING:
    from torch import Tensor

Place = tuple[ir.Node, int]


def put_back(learned: Graph) -> ir.Model:
    """The graph with the integers, scales and floats that it learned. What is given stays as it is."""
    import torch

    with torch.no_grad():
        return _with_numbers(learned)


def _with_numbers(learned: Graph) -> ir.Model:
    made = learned.model.clone()
    twin = dict(zip(learned.model.graph, made.graph, strict=True))
    parts = learned.quantizers
    numbers: dict[Place, Array] = {}
    for node, activation in (*parts.activations.items(), *parts.passing.items()):
        numbers[twin[node], 1] = _like(activation.scale(), node.inputs[1])
    for node, weight in parts.weights.items():
        integers, scale = _checked(node, weight)
        numbers[twin[node], 0], numbers[twin[node], 1] = integers, _like(scale, node.inputs[1])
    for node, bias in parts.biases.items():
        numbers[twin[node], 0], numbers[twin[node], 1] = bias.integers().numpy(), _like(bias.scale(), node.inputs[1])
    for (node, place), array in numbers.items():
        _write(made.graph, node, place, array, numbers)
    for value, real in learned.floats.items():
        held = made.graph.initializers[str(value.name)]
        held.const_value = ir.tensor(real.detach().numpy(), name=held.name)
    prune_unused(made)
    return made


def _checked(node: ir.Node, weight: Weight) -> tuple[Array, Array]:
    """Integers held against the rule that they were trained by, as the rest of optkit computes it."""
    integers, scale = weight.integers().numpy(), weight.scale().numpy()
    if not weight.paired:
        return integers, scale
    reader = node.outputs[0].consumers()[0]
    return fit_pairs(reader, integers * weight.spread().numpy(), integers, scale)


def _like(tensor: "Tensor | Array", value: ir.Value | None) -> Array:
    """In the shape that the graph has it in."""
    assert value is not None
    assert value.const_value is not None
    array = tensor if isinstance(tensor, np.ndarray) else tensor.numpy()
    made: Array = np.broadcast_to(array.astype(np.float32), value.const_value.shape.numpy()).copy()
    return made


def _write(graph: ir.Graph, node: ir.Node, place: int, array: Array, numbers: dict[Place, Array]) -> None:
    """In place where all that read the constant want these numbers, else as another."""
    value = node.inputs[place]
    assert value is not None
    wanted = [numbers.get((use.node, use.idx)) for use in value.uses()]
    if value.is_initializer() and all(each is not None and np.array_equal(each, array) for each in wanted):
        value.const_value = ir.tensor(array, name=value.name)
    else:
        node.replace_input_with(place, shared_constant(graph, str(value.name), array))
