"""New constants in a graph that is being rewritten."""

import onnx_ir as ir

from optkit.arrays import Array


def add_constant(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    """A new initializer; `name` is made unique."""
    while name in graph.initializers:
        name += "_"
    tensor = ir.tensor(array, name=name)
    made = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
    graph.register_initializer(made)
    return made
