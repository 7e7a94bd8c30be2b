"""Texts of different length, filled up to one: batches need to be no longer than their longest text."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from optkit.datasets import Array, Examples
from optkit.errors import DataError, UsageError
from optkit.registry import suggestion

if TYPE_CHECKING:
    import torch

POOL = 32
"""Batches whose examples are sorted by length together: enough for them to be alike, few enough to leave the order to chance."""


def lengths_of(examples: Examples, mask: str | None) -> Array | None:
    """How long each example is: up to the last value of `mask` [N, length] that is not 0, and 1 at least. None without a mask.

    Raises UsageError where there is no such input, DataError where it is no mask or texts are filled up in front.
    """
    if mask is None:
        return None
    if mask not in examples.arrays:
        raise UsageError(f"the training data has no input {mask!r}", where="mask", hint=suggestion(mask, examples.arrays))
    seen = np.asarray(examples.arrays[mask])
    if examples.whole or seen.ndim != 2:
        raise DataError(f"mask: {mask!r} is not [examples, length]", where=examples.source, hint="leave mask out")
    some = (seen != 0).any(1)
    if (some & (seen[:, 0] == 0)).any():
        raise DataError(f"mask: {mask!r} is 0 at the front", where=examples.source, hint="fill texts up at the end, or leave mask out")
    return np.where(some, seen.shape[1] - np.argmax(seen[:, ::-1] != 0, axis=1), 1)


def by_length(order: Array, size: int, lengths: Array) -> Array:
    """The same rows, sorted by length within each pool of batches."""
    pools = [order[start : start + POOL * size] for start in range(0, len(order), POOL * size)]
    return np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])


def cut(
    inputs: "Mapping[str, torch.Tensor]", labels: "torch.Tensor | None", mask: str
) -> "tuple[dict[str, torch.Tensor], torch.Tensor | None]":
    """What has the shape of the mask, [N, length], no longer than the longest text, labels of tokens too; everything else as it is."""
    seen = inputs[mask]
    kept = int((seen != 0).any(0).nonzero().max()) + 1 if bool((seen != 0).any()) else 1

    def shorter(tensor: "torch.Tensor") -> "torch.Tensor":
        return tensor[:, :kept] if tensor.shape == seen.shape else tensor

    return {name: shorter(tensor) for name, tensor in inputs.items()}, None if labels is None else shorter(labels)
