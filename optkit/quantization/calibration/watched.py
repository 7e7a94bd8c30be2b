"""Copies of a model that give more, or less, of its tensors; and a session of such a copy."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import onnx_ir as ir

from optkit.formats.onnx import LARGEST_DRAFT, save_model
from optkit.quantization.graphs import prune_unused
from optkit.runtimes.onnxruntime import OnnxSession, open_onnx


def with_outputs(model: ir.Model, names: Iterable[str]) -> ir.Model:
    """A copy of the model with more of the main graph's tensors as outputs."""
    watched = model.clone()
    wanted = set(names) - {v.name for v in watched.graph.outputs}
    watched.graph.outputs.extend(v for n in watched.graph for v in n.outputs if v.name in wanted)
    return watched


def cut(model: ir.Model, names: Iterable[str]) -> ir.Model:
    """A copy of what computes these tensors of the main graph, which it gives; inputs stay as they are."""
    made = model.clone()
    inputs = {v.name for v in made.graph.inputs}
    values = {v.name: v for n in made.graph for v in n.outputs}
    made.graph.outputs[:] = [values[name] for name in dict.fromkeys(names) if name not in inputs]
    prune_unused(made)
    return made


def open_watched(watched: ir.Model, threads: int, *, arena: bool = True, shapes_first: bool = False) -> OnnxSession:
    """Open a model that is in memory, on the CPU."""
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        save_model(watched, Path(folder) / "watched.onnx", largest=LARGEST_DRAFT)
        return open_onnx(Path(folder) / "watched.onnx", "cpu", threads, arena=arena, shapes_first=shapes_first)
