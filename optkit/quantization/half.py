"""A model in float16: planned, carried out, held against the original, and done again more carefully where it comes out coarse."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from optkit.errors import ModelError
from optkit.formats.onnx import save_model
from optkit.quantization.graphs import all_graphs, fresh_name
from optkit.quantization.half_cast import cast_half
from optkit.quantization.half_plan import HalfPlan, plan_half
from optkit.quantization.half_range import out_of_range
from optkit.quantization.likeness import NO_FEEDS, TRIED, trial_feeds
from optkit.runtimes import Session, open_session
from optkit.runtimes.onnxruntime import open_onnx

if TYPE_CHECKING:
    from optkit.datasets import Examples

Array = np.ndarray[Any, np.dtype[Any]]

GOOD = 40.0
"""dB of signal to noise, an error of 1 %: float16 reaches 50 to 80 on most models. Below, a second try keeps more in float32."""
MOST = 120.0
"""dB; what differs less is called equal."""


@dataclass
class Halved:
    """A float16 model and how near it comes."""

    model: ir.Model
    plan: HalfPlan
    sqnr: dict[str, float] = field(default_factory=dict)
    """dB per floating-point output; minus infinity where it holds NaN or infinity that the original does not."""
    agreement: dict[str, float] = field(default_factory=dict)
    """Share of equal values per other output."""

    @property
    def worst(self) -> float:
        return min(self.sqnr.values(), default=MOST)

    @property
    def kept(self) -> dict[str, int]:
        """Operators left in float32 that have a float16 form, with their number."""
        return dict(sorted(Counter(node.op_type for node in self.plan.kept).items()))


@dataclass(frozen=True)
class Halving:
    """What to halve, and what to try it on. `model` is the simplified float32 graph, `feeds` are the original's."""

    model: ir.Model
    feeds: Sequence[Mapping[str, Array]]
    truths: Sequence[Mapping[str, Array]]
    """The original's answers to the feeds."""
    out_of_range: frozenset[str] = frozenset()
    keep: frozenset[str] = frozenset()
    ports_too: bool = False
    threads: int = 1

    def best(self, target: Path) -> Halved:
        """Write the better of an ordinary and a careful try. Raises ModelError when the runtime refuses it."""
        first = self.attempt(target)
        if first.worst >= GOOD:
            return first
        second = self.attempt(target, careful=True)
        if second.worst > first.worst:
            return second
        save_model(first.model, target)
        return first

    def attempt(self, target: Path, careful: bool = False) -> Halved:
        """Write one try, in which operators that the runtime lacks in float16 are float32."""
        keep = self.keep
        while True:
            model = self.model.clone()
            plan = plan_half(model, self.out_of_range, keep, careful)
            cast_half(model, plan, self.ports_too)
            save_model(model, target)
            try:
                open_session(target, "cpu", self.threads)
            except ModelError as error:
                missing = re.search(r"implementation for (\w+)\(", error.what)
                if missing is None or missing[1] in keep:
                    raise
                keep |= {missing[1]}
                continue
            result = Halved(model, plan)
            if self.feeds:
                _compare(result, self.truths, self.feeds, _rounding(model, self.threads))
            return result


def prepare_halving(
    model: ir.Model,
    source: Path,
    examples: "Examples | None",
    *,
    count: int,
    keep: frozenset[str] = frozenset(),
    ports_too: bool = False,
    threads: int = 1,
    seed: int = 0,
) -> tuple[Halving, str]:
    """Run the original at `source` on examples, or made-up inputs, and see which values leave float16's range.

    Also says what it was run on. Raises ModelError when it does not load, DataError when the examples do not fit.
    """
    before = open_session(source, "cpu", threads)
    feeds = trial_feeds(before, examples, count if examples is not None else TRIED, seed)
    truths = [before.run(feed) for feed in feeds]
    wide = out_of_range(model, feeds, threads) if feeds else frozenset()
    tried_on = f"{len(feeds)} {'made-up inputs' if examples is None else 'examples'}" if feeds else NO_FEEDS
    return Halving(model, feeds, truths, wide, keep, ports_too, threads), tried_on


def _rounding(model: ir.Model, threads: int) -> Session:
    """The model with every float16 value really rounded.

    Where ONNX Runtime computes float16 in float32, it passes results on unrounded and unbounded, which a GPU does not. An Identity
    after each, in a graph that is not optimized, stops that.
    """
    rounded = model.clone()
    for graph in all_graphs(rounded):
        for node in list(graph):
            for value in node.outputs:
                if value.dtype == ir.DataType.FLOAT16 and not value.is_graph_output():
                    users = list(value.uses())
                    stop = ir.node("Identity", [value])
                    stop.outputs[0].dtype, stop.outputs[0].name = value.dtype, fresh_name(rounded.graph, f"{value.name}_rounded")
                    graph.insert_after(node, stop)
                    for user, i in users:
                        user.replace_input_with(i, stop.outputs[0])
    with TemporaryDirectory(prefix="optkit-") as folder:
        save_model(rounded, Path(folder) / "model.onnx")
        return open_onnx(Path(folder) / "model.onnx", "cpu", threads, optimize=False)


def _compare(result: Halved, truths: Sequence[Mapping[str, Array]], feeds: Sequence[Mapping[str, Array]], session: Session) -> None:
    signal: dict[str, float] = {}
    noise: dict[str, float] = {}
    equal: dict[str, list[float]] = {}
    kinds = {port.name: port.dtype for port in session.inputs}
    for truth, feed in zip(truths, feeds, strict=True):
        got = session.run({name: array.astype(np.float16) if kinds[name] == "float16" else array for name, array in feed.items()})
        for name, value in truth.items():
            if value.dtype.kind != "f":
                equal.setdefault(name, []).append(float(np.mean(value == got[name])) if value.size else 1.0)
                continue
            right, wrong = _energies(value, got[name])
            signal[name] = signal.get(name, 0.0) + right
            noise[name] = noise.get(name, 0.0) + wrong
    result.sqnr = {name: decibels(signal[name], noise[name]) for name in signal}
    result.agreement = {name: float(np.mean(shares)) for name, shares in equal.items()}


def _energies(truth: Array, got: Array) -> tuple[float, float]:
    """Of the signal and of the error; where the original is not finite the same is expected."""
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
