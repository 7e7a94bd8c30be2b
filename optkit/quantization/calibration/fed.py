"""Which tensors the numbers of a model's inputs flow into."""

import onnx_ir as ir

from optkit.quantization.graphs import all_graphs

SIZES = frozenset({"Shape", "Size"})
"""Operators that read of a tensor how large it is."""


def fed_by_inputs(model: ir.Model) -> set[str]:
    """Names of the values that depend on more of the inputs than their sizes; what stands in branches and bodies counts as such.

    A recurrent layer's first state is zeros as many as there are examples: no example could make anything else of it.
    """
    fed = set[ir.Value](model.graph.inputs)
    for node in model.graph:
        inner = any(attr.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attr in node.attributes.values())
        if inner or (node.op_type not in SIZES and not fed.isdisjoint(node.inputs)):
            fed.update(node.outputs)
    deeper = (v for graph in all_graphs(model) if graph is not model.graph for node in graph for v in node.outputs)
    return {str(value.name) for value in (*fed, *deeper)}
