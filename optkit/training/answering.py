"""A module asked while it learns."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from optkit.errors import ModelError, OptkitError
from optkit.formats.torch import named_outputs
from optkit.training.batches import Batch

if TYPE_CHECKING:
    import torch


def answer_with(
    module: "torch.nn.Module", batch: Batch, names: Sequence[str] = (), *, learning: bool = True
) -> "Mapping[str, torch.Tensor]":
    """Its outputs for a batch, by name. Raises ModelError where the module fails."""
    import torch

    try:
        with torch.set_grad_enabled(learning and torch.is_grad_enabled()):
            alone = len(batch.inputs) == 1
            answer = module(*batch.inputs.values()) if alone else module(**batch.inputs)
            return named_outputs(answer, names)
    except OptkitError:
        raise
    except torch.OutOfMemoryError as error:
        hint = "compute batches in more parts (accumulate: 4), or make them smaller (batch_size)"
        raise ModelError("the device has too little memory to train it", hint=hint) from error
    except Exception as error:  # the user's module may raise anything
        told = str(error).strip().splitlines()
        few = "Expected more than 1 value per channel" in str(error)
        hint = "batch normalization needs several examples: larger batch_size or less accumulate" if few else "check what the network wants"
        raise ModelError(f"it fails while training: {type(error).__name__}: {told[0] if told else ''}", hint=hint) from error
