"""Reshapes whose target is worked out at run time although it is known: `0` copies a dimension, `-1` is the one that is left.

Exporters build such targets from Shape, Gather, Unsqueeze and Concat; in a transformer that is a hundred small nodes.
"""

import numpy as np
import onnx_ir as ir

from optkit.quantization.graphs import add_constant, constant_tensor, prune_unused


def settle_reshapes(model: ir.Model) -> int:
    """Give every Reshape of the main graph a constant target where its input's and output's shapes determine it; returns how many."""
    done = 0
    for node in model.graph:
        if (
            node.op_type != "Reshape"
            or node.domain not in ("", "ai.onnx")
            or len(node.inputs) < 2
            or constant_tensor(node.inputs[1]) is not None
        ):
            continue
        if "allowzero" in node.attributes and node.attributes["allowzero"].as_int():
            continue
        target = _target(node.inputs[0], node.outputs[0])
        if target is not None:
            node.replace_input_with(1, add_constant(model.graph, f"{node.outputs[0].name}_shape", np.array(target, np.int64)))
            done += 1
    if done:
        prune_unused(model)
    return done


def _target(source: ir.Value | None, result: ir.Value) -> list[int] | None:
    """Dimensions as numbers, 0 where input and output have the same symbol at the same place, -1 at most once."""
    if source is None or source.shape is None or result.shape is None:
        return None
    target: list[int] = []
    for place, size in enumerate(result.shape):
        if isinstance(size, int):
            target.append(size)
        elif place < len(source.shape) and size.value is not None and source.shape[place] == size:
            target.append(0)
        else:
            target.append(-1)
    return (
        target
        if target.count(-1) <= 1 and all(size != 0 or not isinstance(result.shape[i], int) for i, size in enumerate(target))
        else None
    )
