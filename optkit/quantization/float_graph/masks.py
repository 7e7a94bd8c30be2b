"""Attention masks without denormal numbers.

Exporters mask with -3.4e38, -inf or -1e9. ONNX Runtime's exp then returns denormals, and CPUs take a hundred times as long to
multiply those: a masked softmax can cost a fifth of a transformer. -60 masks as well (e^-60 is 1e-26) and stays normal.
"""

import numpy as np
import onnx_ir as ir

from optkit.quantization.graphs import add_constant, constant_array, constant_tensor
from optkit.quantization.operators import is_standard

ENOUGH = -60.0
MASKS = -1e3
"""Constants below this in front of a softmax are masks, not scores."""
CARRIERS = frozenset({"Add", "Where", "Mul", "Expand", "Unsqueeze", "Squeeze", "Reshape", "Identity", "Slice", "Transpose", "Tile", "Max"})
"""Operators that carry a mask from its constant to the softmax."""


def soften_masks(model: ir.Model) -> int:
    """Raise mask constants of the main graph to -60 where all they reach is a softmax; returns how many."""
    graph = model.graph
    done = 0
    for value in list(graph.initializers.values()):
        if value.is_graph_input() or not _masks(value) or not _reaches_only_softmax(value):
            continue
        array = constant_array(value)
        assert array is not None
        value.replace_all_uses_with(add_constant(graph, f"{value.name}_mask", np.maximum(array, np.float32(ENOUGH))))
        graph.initializers.pop(str(value.name))
        done += 1
    return done


def _masks(value: ir.Value) -> bool:
    tensor = constant_tensor(value)
    if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size == 0:
        return False
    array = tensor.numpy()
    return bool(array.min() < MASKS and (array.max() <= 0 or tensor.size > 1))


def _reaches_only_softmax(value: ir.Value) -> bool:
    """Whether every way from the constant ends in a Softmax, and there is one.

    Products are taken to be with masks of 0 and 1; where one is not, the answers differ, which `prepare_checked` sees.
    """
    reached, waiting, seen = False, [value], {value}
    while waiting:
        current = waiting.pop()
        if current.is_graph_output():
            return False
        for node in current.consumers():
            if node.op_type == "Softmax":
                reached = True
            elif node.op_type not in CARRIERS or not is_standard(node):
                return False
            elif node.outputs[0] not in seen:
                seen.add(node.outputs[0])
                waiting.append(node.outputs[0])
    return reached
