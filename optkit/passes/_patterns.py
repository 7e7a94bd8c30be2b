"""Patterns of nodes to leave in float: one that matches nothing is a mistake, told before any work."""

from collections.abc import Sequence

import onnx_ir as ir

from optkit.errors import UsageError
from optkit.pruning.patterns import matched
from optkit.quantization.float_graph.prepare import prepare


def check_patterns(model: ir.Model, exclude: Sequence[str]) -> None:
    """Raise UsageError where a pattern matches no node's name or operator, in the model or as it is prepared for quantization."""
    if not exclude:
        return
    try:
        matched(exclude, _nodes(model))
    except UsageError:  # nodes without names get theirs, and some become others
        named = _nodes(prepare(model, soften=False, rewrite=False).model)
        matched(exclude, named | _nodes(prepare(model).model) | _nodes(model))


def _nodes(model: ir.Model) -> dict[str, str]:
    """Name → operator; nodes without a name by their operator."""
    return {str(node.name or node.op_type): node.op_type for node in model.graph.all_nodes()}
