"""Zeros of a float graph that its INT8 twin keeps while it is trained."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from optkit.quantization.graphs import constant_array
from optkit.training.graph.module import Graph

INT8 = "_int8"
"""What `insert_static` adds to the name of a weight."""
PRUNED = 0.01
"""Share of exact zeros from which a weight is taken for a pruned one: a network that was trained has hardly any otherwise."""


def has_zeros(model: ir.Model) -> bool:
    """Whether a weight of it was pruned."""
    return any(_zeros_of(value) is not None for value in model.graph.initializers.values())


def hold_zeros(graph: Graph, floats: ir.Model) -> Callable[[], None]:
    """What to call after every change of the weights: those that were pruned in `floats`, the model as it was quantized, become 0 again."""
    import torch

    held: list[tuple[torch.Tensor, torch.Tensor]] = []
    named = [(str(node.inputs[0].name).removesuffix(INT8), weight.latent) for node, weight in graph.quantizers.weights.items()]  # type: ignore[union-attr]
    named += [(str(value.name), parameter) for value, parameter in graph.floats.items()]
    for name, latent in named:
        zeros = _zeros_of(floats.graph.initializers.get(name))
        if zeros is not None and zeros.shape == tuple(latent.shape):
            held.append((latent, torch.from_numpy(zeros)))

    def keep() -> None:
        with torch.no_grad():
            for latent, zeros in held:
                latent.masked_fill_(zeros.to(latent.device), 0)

    return keep


def _zeros_of(value: ir.Value | None) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """Where a matrix or a kernel is exactly 0, if it was pruned."""
    array = constant_array(value) if value is not None else None
    if array is None or array.ndim < 2 or array.dtype.kind != "f" or not array.size:
        return None
    zeros = array == 0
    return zeros if PRUNED <= float(zeros.mean()) < 1 else None
