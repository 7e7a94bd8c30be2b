"""Channels of zeros for convolutions whose input has no multiple of four channels, such as images: another kernel takes them then.

ONNX Runtime's symmetric kernels for convolutions in integers (`onnxruntime/core/mlas/lib/convsym.cpp`) read their input where it lies,
four channels at a time. What has other numbers of channels is copied first, position by position, and rounded in a pass of its own: with
the three of an image that takes up to twice as long. Weights of zero make the channels that are added immaterial: the integers that
come out are the same.
"""

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.graphs import add_constant, add_node, all_graphs, constant_array, graph_of, home_of, shared_constant
from optkit.quantization.integer_graph.saturation import fit_pairs, worst_pair_sums
from optkit.quantization.operators import INPUT_CHANNELS, empty_channels, is_standard

SIXTEEN_BITS = np.iinfo(np.int16)


def fill_channels(model: ir.Model) -> int:
    """Give every static integer convolution that gains by it channels of zeros to read, in place; returns how many convolutions.

    Weights whose pair sums fit 16 bits (see saturation.py) fit them afterwards too.
    """
    made: dict[tuple[ir.Node, int], ir.Value] = {}
    done = 0
    for graph in all_graphs(model):
        for node in list(graph):
            source, weight = _integer_source(node), _integer_weight(node)
            if source is None or weight is None or source.graph is not graph:
                continue
            held, value = constant_array(weight.inputs[0]), weight.inputs[0]
            assert held is not None
            assert value is not None
            count = empty_channels(node, held.shape) or _fits_so_alone(node, held)
            if not count:
                continue
            if (source, count) not in made:
                made[source, count] = _wider(source, count, held.ndim)
            node.replace_input_with(0, made[source, count])
            weight.replace_input_with(0, shared_constant(home_of(value, graph), f"{value.name}_filled", with_zeros(node, held, count)))
            done += 1
    return done


def _integer_source(node: ir.Node) -> ir.Node | None:
    """The DequantizeLinear of uint8 on one grid that a convolution reads."""
    if not is_standard(node) or node.op_type != "Conv" or node.inputs[0] is None:
        return None
    source = node.inputs[0].producer()
    if source is None or source.op_type != "DequantizeLinear" or len(source.inputs) < 3:
        return None
    zero = constant_array(source.inputs[2])
    return source if zero is not None and zero.size == 1 and zero.dtype == np.uint8 else None


def _integer_weight(node: ir.Node) -> ir.Node | None:
    """The DequantizeLinear of int8 weights that a convolution alone reads."""
    if node.op_type != "Conv" or node.inputs[1] is None:
        return None
    weight = node.inputs[1].producer()
    if weight is None or weight.op_type != "DequantizeLinear" or len(weight.outputs[0].uses()) != 1:
        return None
    held = constant_array(weight.inputs[0])
    return weight if held is not None and held.dtype == np.int8 else None


def _wider(source: ir.Node, count: int, rank: int) -> ir.Value:
    """What a DequantizeLinear gives, with so many channels more behind its own."""
    graph, name = graph_of(source), str(source.outputs[0].name)
    pads = np.zeros(2 * rank, np.int64)
    pads[rank + 1] = count
    widths = add_constant(graph, f"{name}_widths", pads)
    filled = add_node(source, "Pad", [source.inputs[0], widths, source.inputs[2]], f"{name}_filled_integers", after=True)
    return add_node(filled, "DequantizeLinear", [filled.outputs[0], *source.inputs[1:]], f"{name}_filled", after=True).outputs[0]


def with_zeros(node: ir.Node, integers: Array, count: int) -> Array:
    """The weights with those of empty channels; pairs that overflow now, but did not before, are pulled in."""
    filled = np.pad(integers, [(0, 0), (0, count)] + [(0, 0)] * (integers.ndim - 2))
    if _fits(node, integers) and not _fits(node, filled):
        return fit_pairs(node, filled.astype(np.float32), filled, np.ones((), np.float32))[0]
    return filled


def _fits_so_alone(node: ir.Node, integers: Array) -> int:
    """The channels of zeros without which pairs of weights overflow that were made to stand between them."""
    count = -integers.shape[1] % INPUT_CHANNELS
    empty = np.pad(integers, [(0, 0), (0, count)] + [(0, 0)] * (integers.ndim - 2))
    return count if count and not _fits(node, integers) and _fits(node, empty) else 0


def _fits(node: ir.Node, integers: Array) -> bool:
    high, low = worst_pair_sums(node, integers)
    return bool(high.max(initial=0) <= SIXTEEN_BITS.max and low.min(initial=0) >= SIXTEEN_BITS.min)
