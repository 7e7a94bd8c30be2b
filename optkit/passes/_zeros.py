"""What passes that set weights to 0 have in common: either format, and what zeros are good for."""

from collections.abc import Callable, Mapping
from pathlib import Path

from optkit.arrays import Array
from optkit.artifact import Artifact
from optkit.errors import NothingPaid
from optkit.formats import compressed_size
from optkit.passes import Job
from optkit.pruning.zeros import Mask, sparsity_of

NO_FASTER = "ONNX Runtime computes with zeros as with any number: the model is no faster and no smaller on disk"
Choose = Callable[[Mapping[str, Array], Mapping[str, int]], Mapping[str, Mask]]
"""Weights by layer and the axis that their inputs lie on → what stays of them."""


def prune_onnx(source: Path, target: Path, choose: Choose, exclude: tuple[str, ...], job: Job) -> None:
    """Write a model with fewer weights that are not 0. Raises NothingPaid where there are none to choose from, or none changes."""
    from optkit.formats.onnx import load_model, save_model
    from optkit.pruning.onnx_weights import put_zeros, weights_in

    model = load_model(source)
    weights = weights_in(model, exclude)
    arrays = {name: weight.array for name, weight in weights.items()}
    masks = _chosen(choose, arrays, {name: weight.axis for name, weight in weights.items()}, job)
    put_zeros(weights, masks)
    save_model(model, target)


def prune_torch(source: Path, target: Path, choose: Choose, exclude: tuple[str, ...], job: Job) -> None:
    """The same of a PyTorch model."""
    from optkit.formats.torch import TorchModel, load_torch, save_torch
    from optkit.pruning.torch_weights import input_axis, set_zeros, weights_of

    model = load_torch(source)
    arrays = weights_of(model.module, exclude)
    masks = _chosen(choose, arrays, {name: input_axis(model.module, name) for name in arrays}, job)
    set_zeros(model.module, masks)
    save_torch(TorchModel(model.module, model.origin.with_zeros(name for name, mask in masks.items() if not mask.all())), target)


def tell_sizes(source: Artifact, target: Path, job: Job) -> None:
    """What the zeros are good for: the size of the file after compression."""
    before, after = compressed_size(source.path), compressed_size(target)
    if before is not None and after is not None:
        job.note("measured_compressed", [before, after])


def _chosen(choose: Choose, arrays: Mapping[str, Array], axes: Mapping[str, int], job: Job) -> Mapping[str, Mask]:
    if not arrays:
        raise NothingPaid("it has no weights of matrix products or convolutions", hint="there is nothing to prune in it")
    masks = choose(arrays, axes)
    after = {name: array * masks[name] if name in masks else array for name, array in arrays.items()}
    before = sparsity_of(arrays)
    if not any(((array != 0) & (after[name] == 0)).any() for name, array in arrays.items()):
        raise NothingPaid(f"{before:.1%} of its weights are 0 already: nothing more goes", hint="ask for more sparsity, or use it as it is")
    job.note("sparsity", [round(before, 4), round(sparsity_of(after), 4)])
    job.note("sparsity of layers", {name: round(sparsity_of({name: array}), 4) for name, array in after.items()})
    return masks
