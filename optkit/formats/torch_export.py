"""PyTorch → ONNX, with the exporter that follows `torch.export`."""

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.errors import ModelError
from optkit.formats.onnx import save_model
from optkit.formats.torch import TorchModel

if TYPE_CHECKING:
    import torch

NEWEST = 20
"""The opset where none is asked for: what ONNX Runtime's kernels of the last years know."""
TRACED_ROWS = 2
"""Rows of the batch that is traced: of one row PyTorch takes 1 for a constant."""


def export(model: TorchModel, feed: Mapping[str, Array], dynamic: Mapping[str, Mapping[int, str]], opset: int, target: Path) -> None:
    """Write a module as ONNX to `target`; over 2 GB the weights go to `NAME.data` beside it.

    `feed` is one batch to trace it with, `dynamic` says which axes of which input vary, and their names: axes of one name are equally
    long. Notes that PyTorch leaves in the file (stack traces, paths) are taken out. Raises ModelError with what PyTorch says.
    """
    import torch

    module = model.module.eval()
    given = {name: torch.from_numpy(_rows(array, 0 in dynamic.get(name, {}))) for name, array in feed.items()}
    if (program := getattr(module, "exported", None)) is not None:
        save_exported(_of_program(program, model, list(_outputs(module, given, model)), opset), target)
        return
    with without_cache(module), torch.no_grad():
        exported = exported_program(
            module,
            kwargs=given,
            dynamic_shapes={name: _dimensions(dynamic.get(name, {})) for name in given} if any(dynamic.values()) else None,
            output_names=list(_outputs(module, given, model)),
            opset=opset,
        )
    save_exported(exported, target)


def _of_program(program: Any, model: TorchModel, outputs: list[str], opset: int) -> ir.Model:
    """It is not traced again: what varies in a program is decided."""
    names = [each.name for each in model.origin.inputs]
    exported = exported_program(program, opset=opset, input_names=names, output_names=outputs)
    sizes = {}
    for value, known in zip(exported.graph.inputs, model.origin.inputs, strict=True):
        for size, name in zip(value.shape or (), known.shape, strict=True):
            if isinstance(name, str):
                sizes[str(size if isinstance(size, int) else size.value)] = name
    _rename_sizes(exported, sizes)
    return exported


def _rename_sizes(model: ir.Model, names: Mapping[str, str]) -> None:
    """PyTorch calls sizes that vary s25 and s70: give them names wherever they stand, in sums too."""
    values = [value for graph in model.graphs() for value in (*graph.inputs, *(each for node in graph for each in node.outputs))]
    for value in values:
        if value.shape is not None:
            plain = [size if isinstance(size, int) else size.value for size in value.shape]
            value.shape = ir.Shape([re.sub(r"\bs\d+\b", _name_in(names), each) if isinstance(each, str) else each for each in plain])


def _name_in(names: Mapping[str, str]) -> "Callable[[re.Match[str]], str]":
    return lambda found: names.get(found[0], found[0])


def exported_program(
    module: "torch.nn.Module | torch.export.ExportedProgram", *, opset: int, args: tuple[Any, ...] = (), **said: Any
) -> ir.Model:
    """The module as a graph that onnxscript has optimized; `said` goes to torch.onnx.export. Raises ModelError with what PyTorch says."""
    import torch

    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(module, args, dynamo=True, optimize=True, opset_version=opset, verbose=False, **said)
        except Exception as error:  # the exporter wraps whatever the user's code made it do
            raise _not_exported(error) from error
    model: ir.Model = program.model
    return model


def save_exported(model: ir.Model, target: Path) -> None:
    """Write what was exported, without PyTorch's notes."""
    _forget_notes(model)
    save_model(model, target)


@contextlib.contextmanager
def without_cache(module: "torch.nn.Module") -> Iterator[None]:
    """A decoder of transformers gives its key-value cache back as well, which is no tensor, unless it is told not to."""
    config = getattr(module, "config", None)
    before = getattr(config, "use_cache", None)
    if before:
        config.use_cache = False  # type: ignore[union-attr]
    try:
        yield
    finally:
        if before:
            config.use_cache = before  # type: ignore[union-attr]


def _outputs(module: "torch.nn.Module", given: "Mapping[str, torch.Tensor]", model: TorchModel) -> tuple[str, ...]:
    from optkit.formats.torch import named_outputs

    return tuple(named_outputs(module(**given), model.origin.outputs))


def _rows(array: Array, varies: bool) -> Array:
    """The batch, of at least two rows where their number may vary."""
    short = varies and len(array) < TRACED_ROWS
    return np.ascontiguousarray(np.repeat(array, TRACED_ROWS, axis=0) if short else array)


def _dimensions(axes: Mapping[int, str]) -> dict[int, Any]:
    import torch

    return {axis: torch.export.Dim(name) for axis, name in axes.items()}


def _forget_notes(model: ir.Model) -> None:
    """Names and paths of the user's source files are nobody else's business, and differ from machine to machine."""
    model.producer_name, model.producer_version = "pytorch", None
    model.metadata_props.clear()
    for function in model.functions.values():
        function.metadata_props.clear()
    for graph in model.graphs():
        graph.metadata_props.clear()
        for value in (*graph.inputs, *graph.initializers.values()):
            value.metadata_props.clear()
        for node in graph:
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """PyTorch's exporter prints and warns of its own insides."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "onnxscript", "torch.export")]
    levels = [each.level for each in loggers]
    try:
        for each in loggers:
            each.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


def _not_exported(error: Exception) -> ModelError:
    cause = error
    while cause.__cause__ is not None and isinstance(cause.__cause__, Exception):
        cause = cause.__cause__
    told = " ".join(str(cause).split()) or type(cause).__name__
    hint = "torch.export must be able to follow `forward`: no branches on values of tensors; sizes that vary must be free to"
    return ModelError(f"PyTorch cannot export it: {told[:400]}", hint=hint)
