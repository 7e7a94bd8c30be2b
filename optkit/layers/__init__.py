"""Where two models part: each tensor that both compute, held against the other's on the same examples, in the order of the graph.

Level with `measure`: it needs runtimes, formats and examples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isinf
from typing import TYPE_CHECKING, Literal

from optkit.artifact import Artifact
from optkit.progress import Progress, silent

if TYPE_CHECKING:
    from optkit.datasets import Examples


BAD = 20.0
"""dB. Below it the error is more than a tenth of the signal."""
SILENT = 100.0
"""dB. Beyond it, noise is what float32 arithmetic leaves when it is done in another order."""
MOST_EXAMPLES = 16
"""Noise settles after a few examples: more of them cost time and change nothing."""


@dataclass(frozen=True)
class Layer:
    """A tensor that both models compute. Ratios of signal to noise are in dB, 120 at most; -inf where the second is not finite."""

    tensor: str
    node: str
    """Of the first model, which may have no name for it."""
    operator: str
    after: str
    """What the tensor is called in the second model; dequantized, where it is quantized there."""
    matched: Literal["name", "values"]
    sqnr: float
    """With all that came before it."""
    own: float
    """Of this layer alone: what leads to it in the second model is fed with the first model's values."""
    effect: float | None
    """Of the worst output when only this layer is as in the second model; None where that was not tried, as its own noise is small."""
    exclude: tuple[str, ...] = ()
    """What `quantize --exclude` takes to leave it in float: the product that makes it and, where it is kept in 8 bits, its readers."""

    @property
    def makes_up(self) -> bool:
        """Worse alone than with all before it: it undoes what was changed earlier (scales of channels, means), so it is not to blame."""
        return self.own < self.sqnr - 3.0


@dataclass(frozen=True)
class LayerComparison:
    """All tensors that two models have in common, in the order of the first model's graph."""

    before: str
    after: str
    model: str
    """The first model's file."""
    data: str
    """Where the examples are from, as --data takes it; empty where they are made up."""
    examples: int
    precision: Literal["", "int8", "fp16"]
    """What the second model is made with, if that is seen."""
    layers: tuple[Layer, ...]
    answers: float
    """dB of the worst output with everything changed; of the scores behind it where it holds probabilities."""
    skipped: Mapping[str, int]
    """Why tensors of the first model were not compared, and how many."""

    @property
    def first_bad(self) -> Layer | None:
        """The first layer below `BAD`."""
        return next((layer for layer in self.layers if layer.sqnr < BAD), None)

    @property
    def worst(self) -> tuple[tuple[Layer, float], ...]:
        """Layers that make noise at the outputs by themselves, the worst first, each with its share of the sum of all."""
        tried = [(layer, layer.effect) for layer in self.layers if layer.effect is not None and not layer.makes_up]
        noise = [(layer, 10 ** (-effect / 10)) for layer, effect in tried if effect < SILENT]
        total = sum(amount for _, amount in noise)
        shares = [(layer, 1.0 if isinf(amount) else amount / total) for layer, amount in noise]
        return tuple(sorted(shares, key=lambda each: -each[1]))


def compare_layers(
    before: Artifact,
    afters: Sequence[Artifact],
    examples: "Examples",
    *,
    names: Sequence[str],
    threads: int = 1,
    progress: Progress = silent,
) -> tuple[LayerComparison, ...]:
    """Compare every model in `afters` with `before`, layer by layer; `names` are what tables call the models, `before` first.

    Tensors are matched by name, behind Q/DQ pairs where there are any, and by values where names were lost; those of branches where
    the examples take them, where examples choose differently on those that choose as most do; of loops those of the first round.
    The graphs run as they are written, on the CPU: what ONNX Runtime would fuse is still apart. Memory holds a group of tensors of one
    example at a time. Raises ModelError and DataError as running a model does, ModelError when nothing can be matched.
    """
    from optkit.layers.walk import Walker

    walker = Walker(before, examples.spread(MOST_EXAMPLES), threads, progress)
    return tuple(walker.compare(after, (names[0], name)) for after, name in zip(afters, names[1:], strict=True))
