"""Examples as batches of tensors, in an order that follows from seed and epoch alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from optkit.datasets import Array, Examples
from optkit.errors import DataError, UsageError
from optkit.training.lengths import by_length, cut

if TYPE_CHECKING:
    import torch

LABELS = "labels"
Augment = Callable[[dict[str, "torch.Tensor"]], Mapping[str, "torch.Tensor"]]


@dataclass(frozen=True, eq=False)
class Batch:
    """What a loss is computed on. The first axis of every tensor is the examples."""

    inputs: Mapping[str, "torch.Tensor"]
    labels: "torch.Tensor | None"
    rows: Array
    """The numbers of the examples among all that were given to train on."""
    augmented: bool = False
    """Inputs are not those of the examples any more."""

    def __len__(self) -> int:
        return len(self.rows)


def batches_of(rows: Array, size: int, seed: int, epoch: int, lengths: Array | None = None) -> list[Array]:
    """All rows once, shuffled, in batches of nearly equal size: none is a small rest, which batch normalization would suffer from.

    With `lengths`, of every example, those of like length come together.
    """
    chance = np.random.default_rng([seed, 2, epoch])
    order, count = chance.permutation(rows), max(1, round(len(rows) / size))
    if lengths is None:
        return list(np.array_split(order, count))
    batches = np.array_split(by_length(order, size, lengths), count)
    return [batches[i] for i in chance.permutation(count)]


def parts_of(rows: Array, parts: int, whole: bool) -> list[Array]:
    """A batch in parts that are computed one after the other; examples that are whole feeds go one by one. Empty parts are left out."""
    return [part for part in np.array_split(rows, max(1, len(rows) if whole else min(parts, len(rows)))) if len(part)]


def make_batch(examples: Examples, rows: Array, device: str, augment: Augment | None = None, mask: str | None = None) -> Batch:
    """Those examples on the device, cut to the longest by the input `mask`, where one is named.

    Raises DataError for what PyTorch does not take, UsageError where `augment` fails.
    """
    if examples.whole:
        assert len(rows) == 1, "whole feeds go one by one"
        inputs = {name: _tensor(name, array[rows[0]], examples.source) for name, array in examples.arrays.items()}
    else:
        inputs = {name: _tensor(name, array[rows], examples.source) for name, array in examples.arrays.items()}
    labels = None if examples.labels is None else _tensor(LABELS, examples.labels[rows], examples.source)
    if mask is not None:
        inputs, labels = cut(inputs, labels, mask)
    if augment is not None:
        inputs, labels = _augmented(augment, inputs, labels)
    moved = {name: tensor.to(device) for name, tensor in inputs.items()}
    return Batch(moved, None if labels is None else labels.to(device), rows, augment is not None)


def no_numbers_in(examples: Examples, rows: Sequence[int] | Array) -> tuple[int, str] | None:
    """The first of these examples with a value that is infinite or no number, and the array that it is in."""
    arrays = {**examples.arrays, **({} if examples.labels is None else {LABELS: examples.labels})}
    for row in rows:
        for name, array in arrays.items():
            if array.dtype.kind in "fc" and not np.isfinite(array[row]).all():
                return int(row), name
    return None


def _augmented(augment: Augment, inputs: dict[str, Any], labels: Any) -> tuple[dict[str, Any], Any]:
    given = {**inputs, **({LABELS: labels} if labels is not None and LABELS not in inputs else {})}
    name = f"{augment.__module__}:{getattr(augment, '__qualname__', 'augment')}"
    try:
        made = dict(augment(dict(given)))
    except Exception as error:  # the user's function may raise anything
        what = f"it raised {type(error).__name__}: {' '.join(str(error).split())}"
        raise UsageError(what, where=name, hint="it is called with a dict of tensors, labels included, and returns one") from error
    if made.keys() != given.keys():
        what = f"it was given {', '.join(given)} and returned {', '.join(made)}"
        raise UsageError(what, where=name, hint="return every tensor by its name")
    if LABELS in given and LABELS not in inputs:
        labels = made.pop(LABELS)
    return made, labels


def _tensor(name: str, array: Array, source: str) -> "torch.Tensor":
    import torch

    try:
        return torch.from_numpy(np.require(array, requirements=["C", "W"]))
    except TypeError as error:
        raise DataError(f"{name!r} holds {array.dtype}, which PyTorch does not take", where=source, hint="give numbers") from error
