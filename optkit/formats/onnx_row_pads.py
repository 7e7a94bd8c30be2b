"""Zeros at both ends of a long kernel's rows, written down rather than left to the convolution.

What ONNX Runtime's fast float kernels for CPUs give near the end of a row they compute one by one, at 2 to 5 times the price of what
lies between; with kernels as long as the row that is most of it. A Pad in front is cheaper then. ONNX Runtime puts a Pad back into the
convolution that reads it, but not one behind which stands a Reshape, even one that changes nothing.
"""

import numpy as np
import onnx_ir as ir

from optkit.formats.onnx_constants import add_constant

PLAIN = ("", "ai.onnx")
LONG = 16
"""Positions of kernels that are worth a look."""
PRICE = 2.5
"""Of a multiplication near an end, where one between the ends costs 1: measured 2 to 4.6."""
A_VALUE, A_NODE = 50, 500_000
"""Multiplications in the time that it takes to copy a value there and back, and to call the nodes for it."""


def keep_pads_apart(model: ir.Model) -> int:
    """Write the pads of convolutions that gain by it as nodes of their own, in place; returns how many."""
    return sum(_part(graph, node) for graph in model.graphs() for node in list(graph) if node.op_type == "Conv" and node.domain in PLAIN)


def _part(graph: ir.Graph, node: ir.Node) -> bool:
    source, weight = node.inputs[0], node.inputs[1].const_value if node.inputs[1] is not None else None
    if source is None or source.shape is None or weight is None or len(weight.shape) != 4 or weight.shape.numpy()[3] < LONG:
        return False
    pad = source.producer()
    found = _ends(node), _pad_ends(pad)
    if (found[0] is None) == (found[1] is None):
        return False
    first, last = found[0] or found[1] or (0, 0)
    length = source.shape[3]
    if not isinstance(length, int) or not isinstance(source.shape[1], int):
        return False
    inner = length if found[0] else length - first - last
    if _saved(node, weight, inner, (first, last)) <= A_VALUE * source.shape[1] * (inner + first + last) + A_NODE:
        return False
    if found[0]:
        pads = add_constant(graph, f"{node.name}_ends", np.array([0, 0, 0, first, 0, 0, 0, last], np.int64))
        source = _put(graph, node, "Pad", source, pads)
        source.shape = ir.Shape([*list(source.shape or ())[:3], inner + first + last])
        node.attributes["pads"] = ir.AttrInt64s("pads", [0, 0, 0, 0])
    as_it_is = add_constant(graph, f"{node.name}_as_it_is", np.zeros(4, np.int64))
    node.replace_input_with(0, _put(graph, node, "Reshape", source, as_it_is))
    return True


def _ends(node: ir.Node) -> tuple[int, int] | None:
    """Zeros that a convolution adds at the ends of rows; None where it adds none, or others."""
    told = node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else "NOTSET"
    pads = list(node.attributes["pads"].as_ints()) if "pads" in node.attributes and told == "NOTSET" else []
    return (pads[1], pads[3]) if len(pads) == 4 and pads[0] == pads[2] == 0 and (pads[1] or pads[3]) else None


def _pad_ends(node: ir.Node | None) -> tuple[int, int] | None:
    """Zeros that a Pad adds there."""
    if node is None or node.op_type != "Pad" or node.domain not in PLAIN or len(node.inputs) not in (2, 3):
        return None
    mode = node.attributes["mode"].as_string() if "mode" in node.attributes else "constant"
    widths, filling = (v.const_value if v is not None else None for v in (*node.inputs[1:], None)[:2])
    if (
        mode != "constant"
        or widths is None
        or (len(node.inputs) == 3 and node.inputs[2] is not None and (filling is None or filling.numpy().any()))
    ):
        return None
    pads = [int(width) for width in widths.numpy().reshape(-1)]
    return (pads[3], pads[7]) if len(pads) == 8 and not any(pads[:3] + pads[4:7]) and min(pads) >= 0 else None


def _saved(node: ir.Node, weight: ir.TensorProtocol, length: int, ends: tuple[int, int]) -> float:
    """Multiplications that the time is worth which the ends take, less those that take their place."""
    outputs, inputs, height, kernel = (int(size) for size in weight.shape.numpy())
    step, gap = (list(node.attributes[name].as_ints())[1] if name in node.attributes else 1 for name in ("strides", "dilations"))
    first, last = ends
    starts = np.arange(-first, length + last - (kernel - 1) * gap, step)
    inside = np.zeros(len(starts))
    for place in range(kernel):
        inside += (starts + place * gap >= 0) & (starts + place * gap < length)
    near = inside[inside < kernel]
    rows = node.outputs[0].shape[2] if node.outputs[0].shape is not None else 1
    return float((PRICE * near - kernel).sum()) * outputs * inputs * height * (rows if isinstance(rows, int) else 1)


def _put(graph: ir.Graph, before: ir.Node, operator: str, source: ir.Value, constant: ir.Value) -> ir.Value:
    name = f"{before.name}_{operator}"
    node = ir.node(operator, [source, constant], name=name)
    graph.insert_before(before, node)
    made = node.outputs[0]
    made.name, made.type, made.shape = name, source.type, source.shape
    return made
