"""Gradients of the loss, which Taylor importance is made of."""

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
BATCH = 32


def gather_gradients(model: "TorchModel", examples: Examples | None) -> None:
    """Leave in each parameter the gradient of the mean loss over labelled examples. Raises DataError where there are none."""
    import numpy as np

    if examples is None or examples.labels is None:
        hint = "give data: {training: FILE} with an array labels, or use importance: magnitude"
        raise DataError("importance: taylor needs labelled examples", hint=hint)
    few, loss = examples.spread(MOST), label_loss(None, None)
    for parameter in model.module.parameters():
        parameter.requires_grad_(True)
        parameter.grad = None
    for rows in batches_of(np.arange(len(few)), 1 if few.whole else BATCH, 0, 0):
        batch = make_batch(few, rows, "cpu")
        (loss(answer_with(model.module.eval(), batch, model.origin.outputs), batch) * (len(rows) / len(few))).backward()
