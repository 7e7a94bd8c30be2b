"""How near a float16 model comes to the float32 one, with every float16 value really rounded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.formats.onnx import LARGEST_DRAFT, model_size, save_model
from optkit.progress import Progress, silent
from optkit.quantization.fidelity.likeness import NO_FEEDS, TRIED, trial_feeds
from optkit.quantization.graphs import all_graphs, fresh_name
from optkit.runtimes import Session, open_session
from optkit.runtimes.onnxruntime import open_onnx

if TYPE_CHECKING:
    from optkit.datasets import Examples

Feeds = Sequence[Mapping[str, Array]]

LARGE = 1 << 30
"""Bytes of a model of which there is no second copy in memory."""
UNPACKED = {"session.disable_prepacking": "1"}
"""ONNX Runtime otherwise copies weights into the order that kernels like best."""
MOST = 120.0
"""dB; what differs less is called equal."""


@dataclass(frozen=True)
class Nearness:
    """Per output of a model."""

    sqnr: dict[str, float] = field(default_factory=dict)
    """Signal to noise in dB of floating-point outputs; minus infinity where there is a NaN or infinity that the original has not."""
    agreement: dict[str, float] = field(default_factory=dict)
    """Share of equal values of the others."""

    @property
    def worst(self) -> float:
        return min(self.sqnr.values(), default=MOST)


@dataclass(frozen=True)
class Answers:
    """What the original says to some feeds."""

    feeds: Feeds
    truths: Feeds
    asked: str
    """What it was asked: `8 examples`, or `nothing: …` with the reason."""


def ask_original(source: Path, examples: "Examples | None", count: int, *, threads: int, seed: int, progress: Progress) -> Answers:
    """Run the model at `source` on up to `count` examples, or on made-up inputs.

    Raises ModelError when it does not load, DataError when the examples do not fit.
    """
    large = model_size(source) >= LARGE
    session = open_onnx(source, "cpu", threads, config=UNPACKED) if large else open_session(source, "cpu", threads)
    feeds = trial_feeds(session, examples, count if examples is not None else TRIED, seed)
    truths = []
    for number, feed in enumerate(feeds):
        progress("running the original", number, len(feeds))
        truths.append(session.run(feed))
    kind = "made-up inputs" if examples is None else "examples"
    return Answers(feeds, truths, f"{len(feeds)} {kind}" if feeds else NO_FEEDS)


def nearness(model: ir.Model, original: Answers, threads: int = 1, progress: Progress = silent) -> Nearness:
    """Run `model` on the feeds of the float32 model and hold its answers against that one's."""
    feeds = original.feeds
    if not feeds:
        return Nearness()
    session = rounding_session(model, threads)
    kinds = {port.name: port.dtype for port in session.inputs}
    signal: dict[str, float] = {}
    noise: dict[str, float] = {}
    equal: dict[str, list[float]] = {}
    for number, (truth, feed) in enumerate(zip(original.truths, feeds, strict=True)):
        progress("comparing answers", number, len(feeds))
        got = session.run({name: array.astype(np.float16) if kinds[name] == "float16" else array for name, array in feed.items()})
        for name, value in truth.items():
            if value.dtype.kind != "f":
                equal.setdefault(name, []).append(float(np.mean(value == got[name])) if value.size else 1.0)
                continue
            right, wrong = _energies(value, got[name])
            signal[name] = signal.get(name, 0.0) + right
            noise[name] = noise.get(name, 0.0) + wrong
    return Nearness(
        {name: decibels(signal[name], noise[name]) for name in signal}, {name: float(np.mean(shares)) for name, shares in equal.items()}
    )


def rounding_session(model: ir.Model, threads: int = 1) -> Session:
    """The model as a GPU computes it.

    Where ONNX Runtime computes float16 in float32, as on CPUs, it passes results on unrounded and unbounded. Two Identities after
    each, in a graph that is not optimized, stop that; one would be taken over to float32 like everything else.
    """
    rounded = model.clone()
    for graph in all_graphs(rounded):
        for node in list(graph):
            for value in node.outputs:
                if value.dtype == ir.DataType.FLOAT16 and value.name and not value.is_graph_output():
                    users = list(value.uses())
                    first = ir.node("Identity", [value])
                    second = ir.node("Identity", [first.outputs[0]])
                    for stop in (first, second):
                        stop.outputs[0].dtype, stop.outputs[0].name = value.dtype, fresh_name(rounded.graph, f"{value.name}_rounded")
                    graph.insert_after(node, [first, second])
                    for user, i in users:
                        user.replace_input_with(i, second.outputs[0])
    with TemporaryDirectory(prefix="optkit-") as folder:
        save_model(rounded, Path(folder) / "model.onnx", largest=LARGEST_DRAFT)
        return open_onnx(Path(folder) / "model.onnx", "cpu", threads, optimize=False)


def _energies(truth: Array, got: Array) -> tuple[float, float]:
    """Of the signal and of the error; where the original is not finite, anything goes."""
    finite = np.isfinite(truth)
    if not np.isfinite(got[finite]).all():
        return 1.0, np.inf
    right = truth[finite].astype(np.float64)
    return float((right**2).sum()), float(((right - got[finite]) ** 2).sum())


def decibels(signal: float, noise: float) -> float:
    """Signal-to-noise ratio in dB, at most 120."""
    if not np.isfinite(noise):
        return -np.inf
    if noise <= signal * 10 ** (-MOST / 10):
        return MOST
    return 10 * float(np.log10(signal / noise)) if signal else -np.inf
