"""Which nodes to leave in float so that a tensor stays as it was, by the names that `optkit quantize --exclude` goes by."""

import glob
from collections.abc import Container
from contextlib import suppress

import onnx_ir as ir

from optkit.errors import OptkitError
from optkit.layers.tensors import dequantized, product_of
from optkit.quantization.float_graph.prepare import prepare
from optkit.quantization.operators import weight_of


class Excluding:
    """The graph that quantization starts from: nodes are addressed by their names in it."""

    def __init__(self, model: ir.Model, matched: Container[str]) -> None:
        with suppress(OptkitError):  # it was quantized by other means
            model = prepare(model).model
        self.tensors = {str(v.name): v for part in (*model.graph.subgraphs(), model.graph) for node in part for v in node.outputs}
        self.matched = matched

    def patterns(self, tensor: str, after: ir.Value) -> tuple[str, ...]:
        """Patterns for the tensor, given what it is in the quantized model."""
        value = self.tensors.get(tensor)
        if value is None:
            return ()
        producer = after.producer()
        stored = dequantized(after) is not None or (producer is not None and producer.op_type == "DequantizeLinear")
        readers = [use.node for use in value.uses() if weight_of(use.node) is not None] if stored else []
        made_by = product_of(value, self.matched) or (None if readers else product_of(value))
        nodes = [*([made_by] if made_by is not None and weight_of(made_by) is not None else []), *readers]
        return tuple(glob.escape(str(node.name)) for node in dict.fromkeys(nodes) if node.name)
