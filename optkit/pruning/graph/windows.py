"""What a convolution's attributes say of its windows."""

from collections.abc import Sequence

import onnx_ir as ir

from optkit.pruning.graph.layer_rules import shape_of


def kernel_of(node: ir.Node) -> tuple[int, ...]:
    shape = shape_of(node.inputs[1])
    assert shape is not None
    return shape[2:]


def integers(node: ir.Node, name: str, count: int, default: int) -> list[int]:
    return list(node.attributes[name].as_ints()) if name in node.attributes else [default] * count


def auto_pad(node: ir.Node) -> str:
    return node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else "NOTSET"


def told_pads(node: ir.Node, rank: int) -> list[tuple[int, int]]:
    """Before and behind along each axis, where sizes do not decide them."""
    told = integers(node, "pads", 2 * rank, 0) if auto_pad(node) == "NOTSET" else [0] * (2 * rank)
    return [(told[axis], told[axis + rank]) for axis in range(rank)]


def reach_of(kernel: Sequence[int], dilations: Sequence[int]) -> list[int]:
    """Positions from the first to the last that a window covers."""
    return [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
