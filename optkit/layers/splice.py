"""The nodes of a body, such as a branch, put into the graph around it."""

from collections.abc import Iterator

import onnx_ir as ir

from optkit.quantization.graphs import fresh_name


def splice(body: ir.Graph, node: ir.Node, graph: ir.Graph) -> None:
    """Move nodes and constants of a body in front of `node`. Names that the graph has already are made new."""
    moved, constants = list(body), list(body.initializers.values())
    body.outputs.clear()
    body.initializers.clear()
    body.remove(moved)
    around = set(_names(graph))
    for value in (*constants, *(v for inner in moved for v in inner.outputs)):
        if value.name in around:
            value.name = fresh_name(graph, str(value.name))
    for constant in constants:
        graph.register_initializer(constant)
    graph.insert_before(node, moved)


def _names(graph: ir.Graph) -> Iterator[str]:
    for part in (graph, *graph.subgraphs()):
        yield from part.initializers
        yield from (str(value.name) for value in (*part.inputs, *(v for node in part for v in node.outputs)))
