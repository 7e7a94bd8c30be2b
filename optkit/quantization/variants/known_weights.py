"""Integers of weights, computed once for all the variants and all the layers that share them."""

import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.affine import quantize_weight
from optkit.quantization.graphs import all_graphs, constant_tensor
from optkit.quantization.integer_graph.saturation import fit_pairs, has_pairs
from optkit.quantization.operators import WEIGHT_INPUT, channel_axis

Rounded = tuple[Array, Array]


class KnownWeights:
    """Of the weights of one model and of its copies, which hold the same tensors: a quarter of their bytes."""

    def __init__(self, model: ir.Model) -> None:
        stored = [v.const_value for g in all_graphs(model) for v in g.initializers.values()]
        self._own = {id(tensor): tensor for tensor in stored if tensor is not None}
        self._found: dict[tuple[object, ...], Rounded] = {}

    def rounded(self, node: ir.Node, weight: Array, given: Rounded | None, *, portable: bool) -> Rounded:
        """int8 integers of a layer's weight, the nearest or the `given` ones, and their scales per output channel; where it is to be
        `portable`, such that pairs of products fit 16 bits.
        """
        pairs = portable and has_pairs(node, weight.shape)
        settings = sorted((name, str(attribute.value)) for name, attribute in node.attributes.items())
        key = (id(constant_tensor(node.inputs[WEIGHT_INPUT])), node.op_type, pairs, *settings)
        found = self._found.get(key) if given is None else None
        if found is None:
            found = given or quantize_weight(weight, channel_axis(node))
            found = fit_pairs(node, weight, *found) if pairs else found
            if given is None and key[0] in self._own:
                self._found[key] = found
        return found
