"""HardSigmoid and HardSwish as older exporters write them, clip(x + 3, 0, 6) / 6: one operator instead of three, and known as a gate.

Also without the addition, which may have gone into the bias of the convolution before, and with the division behind the product with x.
HardSwish itself becomes x · HardSigmoid(x), which is what ONNX Runtime makes of it, and of which both have integers.
"""

import numpy as np
import onnx_ir as ir

from optkit.quantization.graphs import add_node, all_graphs, constant_array, graph_of, prune_unused
from optkit.quantization.operators import is_standard

CLOSE = 1e-3
"""Of the divisor: exporters round 1 / 6."""


def name_hard_sigmoids(model: ir.Model) -> int:
    """Write HardSigmoid for what says the same, in place; returns how many."""
    nodes = [node for graph in all_graphs(model) for node in graph]
    done = sum(_change(node) for node in nodes if node.op_type == "Clip")
    done += sum(_spell_out(node) for node in nodes if node.op_type == "HardSwish" and is_standard(node))
    if done:
        prune_unused(model)
    return done


def _change(clip: ir.Node) -> bool:
    low, high = (_number(clip.inputs[i]) if len(clip.inputs) > i else None for i in (1, 2))
    source = clip.inputs[0]
    if not is_standard(clip) or low != 0 or not high or high < 0 or source is None or source.dtype != ir.DataType.FLOAT:
        return False
    value, offset = _before(source)
    product = _gated(clip, value)
    scale = _only_reader(product or clip)
    if scale is None or not np.isclose(_factor(scale, (product or clip).outputs[0]) * high, 1, rtol=CLOSE):
        return False
    gate = add_node(clip, "HardSigmoid", [value], f"{clip.outputs[0].name}_gate", alpha=float(1 / high), beta=float(offset / high)).outputs[
        0
    ]
    gate.type, gate.shape = clip.outputs[0].type, clip.outputs[0].shape
    end = gate
    if product is not None:
        end = add_node(product, "Mul", [value, gate], f"{product.outputs[0].name}_gated").outputs[0]
    _take_the_place_of(scale.outputs[0], end)
    return True


def _take_the_place_of(old: ir.Value, new: ir.Value) -> None:
    """With its type and name; what made the old one goes."""
    maker = old.producer()
    assert maker is not None
    new.type, new.shape, name = old.type, old.shape, old.name
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph_of(maker).remove(maker, safe=True)
    new.name = name


def _spell_out(swish: ir.Node) -> bool:
    value, old = swish.inputs[0], swish.outputs[0]
    if value is None or value.dtype != ir.DataType.FLOAT:
        return False
    gate = add_node(swish, "HardSigmoid", [value], f"{old.name}_gate", alpha=1 / 6, beta=0.5).outputs[0]
    end = add_node(swish, "Mul", [value, gate], f"{old.name}_gated").outputs[0]
    gate.type, gate.shape = old.type, old.shape
    _take_the_place_of(old, end)
    return True


def _before(source: ir.Value) -> tuple[ir.Value, float]:
    """What the addition reads, and the number that it adds; the value itself and 0 where there is none."""
    add = source.producer()
    if add is None or add.op_type != "Add" or not is_standard(add):
        return source, 0.0
    for place in (0, 1):
        added, other = _number(add.inputs[place]), add.inputs[1 - place]
        if added is not None and other is not None:
            return other, added
    return source, 0.0


def _gated(clip: ir.Node, value: ir.Value) -> ir.Node | None:
    """The product of the clipped values and those before the addition, if that is what reads them."""
    reader = _only_reader(clip)
    if reader is None or reader.op_type != "Mul" or not is_standard(reader) or set(reader.inputs) != {clip.outputs[0], value}:
        return None
    return reader


def _only_reader(node: ir.Node) -> ir.Node | None:
    readers = node.outputs[0].consumers()
    if len(readers) != 1 or node.outputs[0].is_graph_output() or readers[0].graph is not node.graph:
        return None
    return readers[0]


def _factor(node: ir.Node, value: ir.Value) -> float:
    """What a Mul or Div by one number multiplies a value with; 0 for other nodes."""
    if not is_standard(node) or node.op_type not in ("Mul", "Div") or len(node.inputs) != 2:
        return 0.0
    place = 0 if node.inputs[0] is value else 1
    number = _number(node.inputs[1 - place])
    if not number or (node.op_type == "Div" and place):
        return 0.0
    return number if node.op_type == "Mul" else 1 / number


def _number(value: ir.Value | None) -> float | None:
    array = constant_array(value)
    return float(array.reshape(-1)[0]) if array is not None and array.size == 1 and array.ndim <= 1 else None
