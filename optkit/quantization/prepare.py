"""The float graph that quantization starts from: simplified, at an opset with per-channel Q/DQ, every node named."""

from dataclasses import dataclass

import onnx_ir as ir

from optkit.formats.onnx_opset import raise_opset
from optkit.formats.onnx_simplify import simplify
from optkit.quantization.masks import soften_masks
from optkit.quantization.reshapes import settle_reshapes

PER_CHANNEL_OPSET = 13


@dataclass(frozen=True)
class Prepared:
    """The float graph, and sentences about what was done to reach it."""

    model: ir.Model
    remarks: tuple[str, ...]
    softened: bool = False
    """Attention masks were raised, which must be held against the original's answers."""


def prepare(model: ir.Model) -> Prepared:
    """A graph equal to `model`, ready to be quantized; the one given is not changed. Raises ModelError where the opset cannot be raised."""
    raised, remark = raise_opset(model, PER_CHANNEL_OPSET)
    simplified = simplify(raised)
    settle_reshapes(simplified)
    softened = soften_masks(simplified)
    _name_nodes(simplified)
    return Prepared(simplified, (remark,) if remark else (), softened > 0)


def _name_nodes(model: ir.Model) -> None:
    """Nodes are addressed by name, so every name must be there and be the only one."""
    taken: set[str] = set()
    for number, node in enumerate(model.graph.all_nodes()):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{number}"
            while node.name in taken:
                node.name += "_"
        taken.add(node.name)
