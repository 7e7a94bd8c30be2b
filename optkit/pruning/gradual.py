"""More and more zeros while a module is trained (Zhu & Gupta, 2017): it learns to do without before the next ones go."""

from typing import TYPE_CHECKING

from optkit.pruning.choice import Scope
from optkit.pruning.torch_weights import hold_zeros, set_zeros, weights_of
from optkit.pruning.zeros import largest_kept

if TYPE_CHECKING:
    import torch

TIMES = 100
"""Zeros are chosen so many times on the way."""


def sparsity_at(step: int, last: int, final: float) -> float:
    """final · (1 - (1 - step / last)³): fast at first, where much is superfluous, and slow towards the end."""
    return final * (1 - (1 - min(step / max(last, 1), 1.0)) ** 3)


class GradualZeros:
    """What a training calls: `before_epoch` and, after each change of the weights, `after_step`.

    Everything follows from the number of the step and from the zeros in the weights, so an interrupted training goes on alike. Weights
    that are 0 before any were chosen are as free as the others.
    """

    def __init__(self, module: "torch.nn.Module", final: float, until: float, scope: Scope, exclude: tuple[str, ...]) -> None:
        self.module, self.final, self.until, self.scope, self.exclude = module, final, until, scope, exclude
        self.layers = tuple(weights_of(module, exclude))
        self.keep = hold_zeros(module, self.layers)

    def before_epoch(self, epoch: int) -> None:
        self.keep = hold_zeros(self.module, self.layers)

    def after_step(self, step: int, steps: int) -> None:
        """Keep the zeros there are, and choose more where it is time to."""
        last = max(1, int(steps * self.until))
        every = max(1, last // TIMES)
        if step > every:
            self.keep()
        if step > last or (step % every and step != last):
            return
        on = next(self.module.parameters()).device
        weights = weights_of(self.module.to("cpu"), self.exclude)
        set_zeros(self.module, largest_kept(weights, sparsity_at(step, last, self.final), self.scope))
        self.module.to(on)
        self.keep = hold_zeros(self.module, self.layers)
