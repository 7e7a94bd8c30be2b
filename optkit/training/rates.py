"""The learning rate over a training: a rise, then half a cosine down to nothing."""

import math


def rate_at(step: int, steps: int, warmup: float) -> float:
    """Share of the highest rate for step 0 … steps - 1: linear over the share `warmup` of the steps, then 1/2 (1 + cos πt).

    Loshchilov and Hutter, SGDR, 2017, without restarts.
    """
    rising = math.ceil(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
