"""Gradients of the loss, which Taylor importance is made of: the root of their mean square over small batches."""

from typing import TYPE_CHECKING

from optkit.datasets import Examples
from optkit.errors import DataError
from optkit.training.answering import answer_with
from optkit.training.batches import batches_of, make_batch
from optkit.training.losses import label_loss

if TYPE_CHECKING:
    from optkit.formats.torch import TorchModel

MOST = 512
"""Examples: gradients of more change no order that matters."""
BATCH = 8


def gather_gradients(model: "TorchModel", examples: Examples | None) -> None:
    """Leave in each parameter's `grad` how large the gradient of the loss is over labelled examples. Raises DataError without them.

    It is the root of the mean square over batches: where the network is trained well the mean itself is next to nothing.
    """
    import numpy as np
    import torch

    if examples is None or examples.labels is None:
        hint = "give data: {training: FILE} with an array labels, or use importance: magnitude"
        raise DataError("importance: taylor needs labelled examples", hint=hint)
    few, loss = examples.spread(MOST), label_loss(None, None)
    model.module.requires_grad_(True)
    batches = batches_of(np.arange(len(few)), 1 if few.whole else BATCH, 0, 0)
    squares = {parameter: torch.zeros_like(parameter) for parameter in model.module.parameters()}
    for rows in batches:
        batch = make_batch(few, rows, "cpu")
        model.module.zero_grad(set_to_none=True)
        loss(answer_with(model.module.eval(), batch, model.origin.outputs), batch).backward()
        for parameter, square in squares.items():
            if parameter.grad is not None:
                square += parameter.grad**2
    for parameter, square in squares.items():
        parameter.grad = (square / len(batches)).sqrt()
