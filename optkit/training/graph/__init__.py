"""An ONNX graph as a PyTorch module that can be trained, its Q/DQ pairs as fake quantization, and what it learned put back."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

    from optkit.training.graph.module import GraphModule

__all__ = ["is_quantized", "make_trainable", "put_back"]


def make_trainable(model: "ir.Model", *, learn_ranges: bool, portable: bool) -> "GraphModule":
    """A module that answers as the graph does, rounding where it rounds. `model` is not changed.

    Its int8 weights and int32 biases, the float weights that layers read, and with `learn_ranges` all scales can be trained; with
    `portable` the products of weights stay within what every CPU adds. Raises ModelError for operators that PyTorch cannot follow.
    """
    from optkit.training.graph.module import GraphModule

    return GraphModule(model, learn_ranges=learn_ranges, portable=portable)


def put_back(module: "GraphModule") -> "ir.Model":
    """The graph that a module was made from, with what it learned: the very integers and scales that it computed with."""
    from optkit.training.graph.putting_back import put_back as put

    made: ir.Model = put(module)
    return made


def is_quantized(model: "ir.Model") -> bool:
    """Whether a graph has Q/DQ pairs already."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph)
