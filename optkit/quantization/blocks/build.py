"""A graph with its weights in groups, and its other large weights stored in 8 bits."""

from collections.abc import Mapping
from typing import Literal

import onnx_ir as ir

from optkit.quantization.blocks.blocked import Blocked
from optkit.quantization.blocks.insert_packed import FLOAT_ACTIVATIONS, INT8_ACTIVATIONS, insert_packed
from optkit.quantization.blocks.insert_stored import insert_stored
from optkit.quantization.blocks.layers import find_weights
from optkit.quantization.graphs import forget_shapes, prune_unused, share_names
from optkit.quantization.integer_graph.compress import compress_weights

Form = Literal["packed", "packed, float activations", "stored"]
"""In groups while the model runs, with activations rounded to int8 or not; or in the file only."""


def build(model: ir.Model, blocked: Mapping[str, Blocked], form: Form) -> ir.Model:
    """`model` is not changed. Weights not in `blocked` that could have been are left in float: somebody wanted that."""
    return build_counted(model, blocked, form)[0]


def build_counted(model: ir.Model, blocked: Mapping[str, Blocked], form: Form) -> tuple[ir.Model, int]:
    """The graph, and how many other weights are stored in 8 bits."""
    made = model.clone()
    share_names(made)
    every = find_weights(made)
    weights = [w for w in every if w.name in blocked]
    keep = {w.name for w in every} - set(blocked)
    if form == "stored":
        insert_stored(made, weights, blocked)
    else:
        insert_packed(made, weights, blocked, INT8_ACTIVATIONS if form == "packed" else FLOAT_ACTIVATIONS)
    prune_unused(made)
    others = compress_weights(made, keep)
    prune_unused(made)
    forget_shapes(made)
    return made, others
