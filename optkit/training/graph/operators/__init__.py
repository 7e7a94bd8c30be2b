"""What ONNX operators compute, in PyTorch: one function an operator, called with the node's attributes and its inputs."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from optkit.training.graph.operators.attributes import Attributes
from optkit.training.graph.operators.elementwise import ELEMENTWISE
from optkit.training.graph.operators.pooling import POOLING
from optkit.training.graph.operators.products import PRODUCTS
from optkit.training.graph.operators.quantizing import QUANTIZING
from optkit.training.graph.operators.reducing import REDUCING
from optkit.training.graph.operators.shaping import SHAPING

if TYPE_CHECKING:
    import torch

    Answer = torch.Tensor | tuple[torch.Tensor, ...]

Operator = Callable[..., Any]

OPERATORS: Mapping[str, Operator] = {**ELEMENTWISE, **POOLING, **PRODUCTS, **QUANTIZING, **REDUCING, **SHAPING}
"""By name, of the standard operator set, versions 13 and newer."""

__all__ = ["OPERATORS", "Attributes", "Operator"]
