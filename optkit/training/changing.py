"""What changes the weights: the optimizers, and which parameters decay."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from optkit.training.parameters import TrainingParameters

if TYPE_CHECKING:
    import torch

MOMENTUM = 0.9


def make_optimizer(trained: "Iterable[torch.nn.Parameter]", how: TrainingParameters) -> "torch.optim.Optimizer":
    """Matrices and kernels decay, vectors (biases, norms) do not."""
    import torch

    held = [each for each in trained if each.requires_grad]
    groups = [
        {"params": [each for each in held if each.dim() > 1], "weight_decay": how.weight_decay},
        {"params": [each for each in held if each.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if how.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=how.learning_rate, momentum=MOMENTUM, nesterov=True)
    return torch.optim.AdamW(groups, lr=how.learning_rate)


def set_rate(optimizer: "torch.optim.Optimizer", rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
