"""What a module costs: parameters, and multiplications with additions (MACs) for given inputs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.pruning.feeds import answer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Cost:
    """Of one example."""

    parameters: int
    macs: int


def cost_of(module: "torch.nn.Module", inputs: "dict[str, torch.Tensor] | tuple[torch.Tensor, ...]") -> Cost:
    """Parameters, shared ones once, and MACs of matrix products, convolutions and attention, as PyTorch counts them."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its one fused operator is not counted
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            answer(module, inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    tensors = list(inputs.values()) if isinstance(inputs, dict) else list(inputs)
    rows = len(tensors[0]) if tensors and tensors[0].dim() else 1
    return Cost(sum(each.numel() for each in module.parameters()), counter.get_total_flops() // 2 // max(rows, 1))
