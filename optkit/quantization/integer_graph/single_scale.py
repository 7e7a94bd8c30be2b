"""A weight in integers with one scale for all of it."""

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.affine import quantize_weight, round_weight
from optkit.quantization.integer_graph.saturation import fit_pairs

WIDER = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
"""Scales to try, by the narrowest: at twice that all sums of two products fit 16 bits."""


def with_one_scale(node: ir.Node, weight: Array, *, portable: bool) -> tuple[Array, Array]:
    """int8 weights of a layer and their float32 scale; where they are to be `portable`, on the scale on which pairs that have to be
    pulled in (see `fit_pairs`) and wider steps together cost the least squared error.
    """
    integers, scale = quantize_weight(weight, None)
    if not portable:
        return integers, scale
    scales = [np.asarray(scale * np.float32(wider)) for wider in WIDER]
    fitted = [fit_pairs(node, weight, round_weight(weight, each, None), each) for each in scales]
    return min(fitted, key=lambda form: float(((form[0] * form[1] - weight) ** 2).sum(dtype=np.float64)))
