"""A Pad with zeros in front of a convolution is the convolution's own: integers need no trip through floats for it.

Keras writes its strided convolutions so. ONNX Runtime joins the two by itself, but only where both are floats.
"""

import onnx_ir as ir

from optkit.quantization.graphs import all_graphs, constant_array, prune_unused
from optkit.quantization.operators import is_standard

SPATIAL = 2
"""The first axis of places, behind examples and channels."""


def join_pads(model: ir.Model) -> int:
    """Let every convolution that reads a Pad with zeros add them itself, in place; returns how many."""
    done = sum(_join(node) for graph in all_graphs(model) for node in graph if node.op_type == "Conv" and is_standard(node))
    if done:
        prune_unused(model)
    return done


def _join(node: ir.Node) -> bool:
    pad = node.inputs[0].producer() if node.inputs[0] is not None else None
    widths = _zeros(pad) if pad is not None and pad.graph is node.graph else None
    told = node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else "NOTSET"
    if pad is None or widths is None or told not in ("NOTSET", "VALID"):
        return False
    own = list(node.attributes["pads"].as_ints()) if "pads" in node.attributes and told == "NOTSET" else [0] * len(widths)
    node.attributes["pads"] = ir.AttrInt64s("pads", [one + other for one, other in zip(own, widths, strict=True)])
    node.attributes.pop("auto_pad", None)
    node.replace_input_with(0, pad.inputs[0])
    return True


def _zeros(node: ir.Node) -> list[int] | None:
    """How many zeros a Pad adds before and behind each axis of places; None where it does anything else."""
    if node.op_type != "Pad" or not is_standard(node) or len(node.inputs) not in (2, 3):
        return None
    mode = node.attributes["mode"].as_string() if "mode" in node.attributes else "constant"
    widths, given = constant_array(node.inputs[1]), node.inputs[2] if len(node.inputs) == 3 else None
    value = constant_array(given)
    if mode != "constant" or widths is None or (given is not None and (value is None or value.any())):
        return None
    before, behind = widths.reshape(2, -1)
    if widths.min() < 0 or before[:SPATIAL].any() or behind[:SPATIAL].any():
        return None
    return [*map(int, before[SPATIAL:]), *map(int, behind[SPATIAL:])]
