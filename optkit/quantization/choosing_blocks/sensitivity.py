"""How much of each weight's rounding shows at the outputs: noise of the same size matters in one layer and vanishes in the next.

One session serves all: weights are inputs with a default value there, and each in turn is given as rounded.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.formats.onnx import LARGEST_DRAFT, save_model
from optkit.progress import Progress
from optkit.quantization.blocks.algorithms import Rounded
from optkit.quantization.blocks.layers import Weight, alpha_of
from optkit.quantization.fidelity.reference import Reference
from optkit.runtimes import Session
from optkit.runtimes.onnxruntime import open_onnx

if TYPE_CHECKING:
    from optkit.runtimes import Feed, Outputs


FEEDS = 4


def output_noise(
    model: ir.Model, weights: Sequence[Weight], rounded: Rounded, reference: Reference, *, threads: int, progress: Progress
) -> dict[str, float]:
    """Noise energy at the outputs, relative to what varies in them, when only this weight is rounded; by name of the weight.

    A weight of a branch or loop body cannot be an input: what the rounding does to its own layer stands for it.
    """
    opened = _with_open_weights(model, [w for w in weights if w.value.graph is model.graph], threads)
    noise = {}
    for done, weight in enumerate(weights):
        if weight.value.graph is not model.graph:
            noise[weight.name] = rounded.noise[weight.name]
            continue
        sqnr = reference.compare(_Given(opened, _arrays(weight, rounded)), FEEDS).sqnr
        noise[weight.name] = float(10 ** (-sqnr / 10)) if np.isfinite(sqnr) else np.inf
        progress("ranking weights", done + 1, len(weights))
    return noise


class _Given:
    """A session to which some inputs are always given."""

    def __init__(self, session: Session, arrays: Mapping[str, Array]) -> None:
        self.session, self.arrays = session, arrays
        self.inputs, self.outputs = session.inputs, session.outputs
        self.bind, self.placement = session.bind, session.placement

    def run(self, feed: "Feed", outputs: Sequence[str] | None = None) -> "Outputs":
        return self.session.run({**feed, **self.arrays}, outputs)


def _with_open_weights(model: ir.Model, weights: Sequence[Weight], threads: int) -> Session:
    opened = model.clone()
    names = {str(v.name) for w in weights for v in (w.value, *w.copies)}
    opened.graph.inputs.extend(v for name, v in opened.graph.initializers.items() if name in names)
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        save_model(opened, Path(folder) / "open.onnx", largest=LARGEST_DRAFT)
        return open_onnx(Path(folder) / "open.onnx", "cpu", threads)


def _arrays(weight: Weight, rounded: Rounded) -> dict[str, Array]:
    """A weight and its copies, rounded, as they lie in the graph."""
    real = rounded.blocked[weight.name].real() / np.float32(alpha_of(weight.uses[0].node))
    kind = np.float16 if weight.half else np.float32
    here, turned = (np.ascontiguousarray(a, dtype=kind) for a in ((real, real.T) if weight.rows_first else (real.T, real)))
    return {weight.name: here, **{str(copy.name): turned for copy in weight.copies}}
