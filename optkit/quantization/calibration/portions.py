"""Layers in portions whose statistics fit into memory together: each portion is a run over the examples."""

from collections.abc import Callable, Iterable

import onnx_ir as ir


def portions(nodes: Iterable[ir.Node], size: Callable[[ir.Node], int], most: int) -> list[list[ir.Node]]:
    """The nodes in their order, at most `most` bytes together; one that takes more by itself is alone."""
    found: list[list[ir.Node]] = []
    used = 0
    for node in nodes:
        if not found or used + size(node) > most:
            found.append([])
            used = 0
        found[-1].append(node)
        used += size(node)
    return found
