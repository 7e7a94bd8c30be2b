"""Channels of zeros between convolutions in integers, up to a multiple of sixteen: what kernels on x86 take at once.

In ONNX Runtime (`onnxruntime/core/mlas/lib/convsym.cpp`, `qdwconv.cpp`) a depthwise convolution of another number of channels takes 1.5 to
3 times as long as one of the next multiple of sixteen, and a convolution with fewer than sixteen outputs, which copies its input first, up
to twice as long as one with sixteen. Filters of zeros are added to the layers that make such channels, and weights of zero to those that
read them, so nothing is copied, and the integers that come out are the same.
"""

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.graphs import all_graphs, constant_array, home_of, shared_constant
from optkit.quantization.integer_graph.channel_runs import BLOCK, Run, filter_shape, gains, held_by, run_around
from optkit.quantization.integer_graph.fill_channels import with_zeros


def fill_outputs(model: ir.Model) -> int:
    """Widen every run of channels between integer convolutions that gains by it, in place; returns how many."""
    done = 0
    for graph in all_graphs(model):
        seen: set[ir.Value] = set()
        for node in list(graph):
            shape = filter_shape(node)
            if shape is None or node.outputs[0] in seen or not (_in_integers(node) and gains(node, shape)):
                continue
            run = run_around(graph, node.outputs[0], shape[0])
            if run is not None:
                seen |= run.values
                _widen(graph, run, shape[0], -shape[0] % BLOCK)
                done += 1
    return done


def _in_integers(node: ir.Node) -> bool:
    makers = [value.producer() if value is not None else None for value in node.inputs[:2]]
    return all(maker is not None and maker.op_type == "DequantizeLinear" for maker in makers)


def _widen(graph: ir.Graph, run: Run, channels: int, count: int) -> None:
    for value in run.values:
        value.shape = None
    for node in (*run.makers, *run.both):
        for place in range(1, len(node.inputs)):
            if node.inputs[place] is not None:
                _lengthen(graph, node, place, channels, count)
    for node in run.readers:
        array = constant_array(held_by(node.inputs[1]))
        assert array is not None
        _hold(graph, node, 1, with_zeros(node, array, count))
    for node in run.both:
        node.attributes["group"] = ir.AttrInt64("group", channels + count)


def _lengthen(graph: ir.Graph, node: ir.Node, place: int, channels: int, count: int) -> None:
    """More outputs for a weight or bias, of zeros; scales go on as they end."""
    array, value = constant_array(held_by(node.inputs[place])), node.inputs[place]
    assert array is not None
    assert value is not None
    _hold(graph, node, place, _longer(array, count, "constant"))
    maker = value.producer()
    for number, given in list(enumerate(maker.inputs if maker is not None else ()))[1:]:
        numbers = constant_array(given)
        if given is not None and numbers is not None and numbers.ndim and numbers.size == channels:
            longer = shared_constant(home_of(given, graph), f"{given.name}_longer", _longer(numbers, count, "edge"))
            maker.replace_input_with(number, longer)  # type: ignore[union-attr]


def _longer(array: Array, count: int, mode: str) -> Array:
    return np.pad(array, [(0, count), *[(0, 0)] * (array.ndim - 1)], mode=mode)  # type: ignore[call-overload, no-any-return]


def _hold(graph: ir.Graph, node: ir.Node, place: int, array: Array) -> None:
    """Let a node read other numbers, through the DequantizeLinear of its own where there is one."""
    value, held = node.inputs[place], held_by(node.inputs[place])
    assert value is not None
    assert held is not None
    made = shared_constant(home_of(held, graph), f"{held.name}_filled", array)
    maker = value.producer()
    if maker is not None and maker.op_type == "DequantizeLinear":
        maker.replace_input_with(0, made)
    else:
        node.replace_input_with(place, made)
