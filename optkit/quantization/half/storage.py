"""Weights in bfloat16, each behind a Cast to float32, which the runtime does once, when it loads the model.

ONNX Runtime's CPU provider moves bfloat16 about and normalizes layers in it, but multiplies, adds and convolves nothing (1.31), so a model
that computes in bfloat16 does not load there; this one does, everywhere.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import onnx_ir as ir

from optkit.formats.onnx import save_model
from optkit.formats.onnx_opset import raise_opset
from optkit.progress import Progress
from optkit.quantization.graphs import add_constant, add_node, all_graphs, constant_array, constant_tensor, share_names
from optkit.quantization.half.nearness import Nearness, ask_original, nearness
from optkit.quantization.recognise import graph_constants

if TYPE_CHECKING:
    from optkit.datasets import Examples

SMALLEST = 256
"""Numbers; a Cast takes as many bytes as it saves on less, and small constants are often ones that must be exact."""
OPSET = 13
"""The first whose Cast knows bfloat16."""


@dataclass(frozen=True)
class Stored:
    """How many weights became bfloat16, and how near the model comes to the original."""

    count: int
    near: Nearness
    tried_on: str


def store_checked(
    model: ir.Model,
    source: Path,
    target: Path,
    examples: "Examples | None",
    tried: int,
    threads: int,
    seed: int,
    progress: Progress,
) -> Stored:
    """Write `model` (read from `source`) with its weights in bfloat16 to `target`, and hold its answers against the original's.

    Raises ModelError where the model does not load or its opset cannot be raised, DataError where the examples do not fit.
    """
    answers = ask_original(source, examples, tried, threads=threads, seed=seed, progress=progress)
    stored, _ = raise_opset(model, OPSET)
    count = store_bfloat16(stored)
    save_model(stored, target)
    return Stored(count, nearness(stored, answers, threads, progress), answers.asked)


def store_bfloat16(model: ir.Model) -> int:
    """Round every large float32 constant, in branches and loop bodies too, to bfloat16, in place. Returns how many.

    A constant that holds a number too large for bfloat16 (above 3.39e38) stays.
    """
    share_names(model)
    count = 0
    for graph in all_graphs(model):
        for value in graph_constants(graph):
            tensor = constant_tensor(value)
            if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size < SMALLEST or value.is_graph_output() or not value.uses():
                continue
            array = constant_array(value)
            assert array is not None
            rounded = array.astype(ml_dtypes.bfloat16)
            if not np.array_equal(np.isfinite(array), np.isfinite(rounded.astype(np.float32))):
                continue
            held = add_constant(graph, f"{value.name}_bf16", rounded)
            real = add_node(graph[0], "Cast", [held], f"{value.name}_float", to=int(ir.DataType.FLOAT))
            value.replace_all_uses_with(real.outputs[0])
            _drop(graph, value)
            count += 1
    return count


def _drop(graph: ir.Graph, value: ir.Value) -> None:
    producer = value.producer()
    if producer is None:
        graph.initializers.pop(str(value.name))
    else:
        graph.remove(producer, safe=True)
