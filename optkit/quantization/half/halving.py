"""A model in float16: planned, carried out, held against the original, and done again more carefully where it comes out coarse."""

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from optkit.errors import ModelError
from optkit.formats.onnx import model_size, save_model
from optkit.progress import Progress, silent
from optkit.quantization.half.cast import cast_half
from optkit.quantization.half.nearness import LARGE, Answers, Nearness, ask_original, nearness
from optkit.quantization.half.out_of_range import out_of_range
from optkit.quantization.half.plan import HalfPlan, plan_half
from optkit.quantization.half.slots import fill_types
from optkit.runtimes.onnxruntime import open_onnx

if TYPE_CHECKING:
    from optkit.datasets import Examples

GOOD = 40.0
"""dB of signal to noise, an error of 1 %: float16 reaches 50 to 80 on most models. Below, a second try keeps more in float32."""


@dataclass(frozen=True)
class Halved:
    """A float16 model, what was planned, and how near it comes to the original."""

    model: ir.Model
    plan: HalfPlan
    near: Nearness = field(default_factory=Nearness)

    @property
    def kept(self) -> dict[str, int]:
        """Operators left in float32 that have a float16 form, with their number."""
        return dict(sorted(Counter(node.op_type for node in self.plan.kept).items()))


@dataclass(frozen=True)
class Halving:
    """What to halve, and what to hold it against."""

    model: ir.Model
    """The original, simplified, in float32."""
    answers: Answers
    """The original's."""
    out_of_range: frozenset[str] = frozenset()
    keep: frozenset[str] = frozenset()
    ports_too: bool = False
    threads: int = 1
    progress: Progress = silent

    def write(self, target: Path, careful: bool = False) -> Halved:
        """Write one try; operators that the runtime lacks in float16 are float32. Raises ModelError when the runtime refuses it."""
        keep = self.keep
        while True:
            model = self.model.clone()
            plan = plan_half(model, self.out_of_range, keep, careful)
            cast_half(model, plan, self.ports_too)
            save_model(model, target)
            try:
                open_onnx(target, "cpu", self.threads, optimize=2 * model_size(target) < LARGE)  # which folds casts of weights
            except ModelError as error:
                missing = re.search(r"implementation for (\w+)\(", error.what)
                if missing is None or missing[1] in keep:
                    raise
                keep |= {missing[1]}
                continue
            return Halved(model, plan)

    def improve(self, first: Halved, target: Path) -> Halved:
        """See how near a first try comes, and write the better of it and a more careful one."""
        first = self._seen(first)
        if first.near.worst >= GOOD:
            return first
        second = self._seen(self.write(target, careful=True))
        if second.near.worst > first.near.worst:
            return second
        save_model(first.model, target)
        return first

    def _seen(self, halved: Halved) -> Halved:
        return replace(halved, near=nearness(halved.model, self.answers, self.threads, self.progress))


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
    progress: Progress = silent,
) -> Halving:
    """Run the original at `source` on examples, or made-up inputs, and see which values leave float16's range.

    Raises ModelError when it does not load, DataError when the examples do not fit.
    """
    fill_types(model)
    answers = ask_original(source, examples, count, threads=threads, seed=seed, progress=progress)
    wide = out_of_range(model, answers.feeds, threads, progress) if answers.feeds else frozenset()
    return Halving(model, answers, wide, keep, ports_too, threads, progress)
