"""The weights of some products in 8 bits, in groups, while the model runs."""

from collections.abc import Collection

import onnx_ir as ir

from optkit.quantization.blocks.blocked import Scheme
from optkit.quantization.blocks.insert_packed import INT8_ACTIVATIONS, insert_packed
from optkit.quantization.blocks.layers import find_weights
from optkit.quantization.blocks.round_to_nearest import round_to_nearest


def hold_in_groups(model: ir.Model, nodes: Collection[str], size: int) -> None:
    """Rounded to nearest, in place. A weight stays as it is unless all that read it are among `nodes`, by name."""
    if not nodes:
        return
    weights = find_weights(model, lambda node: str(node.name) in nodes, tables=False)
    blocked = {w.name: round_to_nearest(w.rows(), Scheme(8, size, half=w.half).fitted(w.shape[1])) for w in weights}
    insert_packed(model, weights, blocked, INT8_ACTIVATIONS)
