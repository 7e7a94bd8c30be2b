"""An ONNX graph as a PyTorch module that can be trained, its Q/DQ pairs as fake quantization, and what it learned put back."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir
    import torch


def make_trainable(model: "ir.Model", *, learn_ranges: bool, portable: bool) -> "torch.nn.Module":
    """A module that answers as the graph does, rounding where it rounds: a dict of outputs. `model` is not changed.

    Its int8 weights and int32 biases, the float weights that layers read, and with `learn_ranges` all scales can be trained; with
    `portable` the products of weights stay within what every CPU adds. Raises ModelError for operators that PyTorch cannot follow.
    """
    import torch

    from optkit.training.graph.module import Graph

    class GraphModule(torch.nn.Module):  # type: ignore[misc]  # made here, since PyTorch is imported only where it is used
        def __init__(self, graph: Graph) -> None:
            super().__init__()
            self.graph = graph
            for name, tensor in graph.tensors().items():
                self.register_parameter(name, tensor)

        def forward(self, *inputs: torch.Tensor, **named: torch.Tensor) -> dict[str, torch.Tensor]:
            return self.graph.answer(inputs, named)

    return GraphModule(Graph(model, learn_ranges=learn_ranges, portable=portable))


def put_back(module: "torch.nn.Module") -> "ir.Model":
    """The graph that `make_trainable` was given, with what it learned: the very integers and scales that it computed with."""
    from optkit.training.graph.putting_back import put_back as put

    return put(module.graph)


def keeps_zeros(module: "torch.nn.Module", floats: "ir.Model") -> "Callable[[int, int], None] | None":
    """For `train`, after each step: what was pruned in the float model stays 0. None where nothing was."""
    from optkit.quantization.float_graph.prepare import prepare
    from optkit.training.graph.zeros import has_zeros, hold_zeros

    if not has_zeros(floats):
        return None
    keep = hold_zeros(module.graph, prepare(floats).model)
    return lambda step, steps: keep()


def is_quantized(model: "ir.Model") -> bool:
    """Whether a graph has Q/DQ pairs already."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph)
