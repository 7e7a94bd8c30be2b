"""What making a model smaller can be expected to gain here, from the time that its operators take and what was measured here."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

from optkit.inspection.under_roof import Cost, Draft, Peaks, Placed, Prediction
from optkit.units import show_seconds

QUANTIZABLE = ("Conv", "Gemm", "MatMul")
BATCH = 8
HALF = 0.5
QUARTER = "at most: a quarter of the multiplications, if all layers lost half and stayed as efficient; often it is far less"
FASTER = 1.03
"""Times as fast, from which on a draft is."""


@dataclass(frozen=True)
class _Now:
    """The model as it is."""

    nodes: Sequence[Placed]
    whole: float
    """Seconds of an inference."""
    overhead: float
    """Of them, what calls take whatever operators do."""
    peaks: Peaks
    bandwidth: float

    def without(self, saved: float) -> float:
        left = self.whole - saved
        return self.whole / left if left > 0 else 1.0


def predict(
    path: str,
    nodes: Sequence[Placed],
    whole: float,
    overhead: float,
    peaks: Peaks,
    bandwidth: float,
    device: str,
    drafts: Sequence[Draft] | None = None,
    batched: float | None = None,
    halved: float | None = None,
    *,
    in_batches: bool = True,
) -> tuple[Prediction, ...]:
    """The gain of each change: what `drafts` in INT8, batches and FP16 (`halved`) gave where they were tried; of batches none where the
    model takes none (`in_batches`).

    INT8 without drafts (None): kernels take what they were measured to take, and everything else what it takes now.
    The others: what a node does besides being called gets faster as its roof rises; it keeps the share of the roof that it reaches now.
    `whole` is the time of an inference, `overhead` what of it calls take.
    """
    now = _Now(nodes, whole, overhead, peaks, bandwidth)
    model = shlex.quote(path)
    where = "" if device == "cpu" else f" --device {device}"
    sixteen = max(peaks.float16 or 0.0, peaks.float32)
    fast_half, in_memory = sixteen > peaks.float32, bandwidth <= peaks.bandwidth
    slow_half = f"{sixteen / peaks.float32:.1f}× the peak" if fast_half else "the runtime has no fast 16-bit kernels here"
    half = f"optkit quantize {model} --fp16{where}"
    speedup, why = _integers(now) if drafts is None else of_drafts(drafts)
    narrower = now.without(_saved(now, _computes, (HALF * HALF, peaks.float32, HALF, HALF * HALF)))
    # without such kernels the runtime makes float32 of the weights once, when it opens the model
    by_peak = now.without(_saved(now, _computes, (1, sixteen, 0.5, 0.5))) if fast_half else 1.0
    found = [
        Prediction("INT8", speedup, why, f"optkit quantize {model} --int8 --data DATA{where}"),
        Prediction(
            "INT4 weights",
            now.without(_saved(now, lambda c: in_memory and c.operator == "MatMul" and c.weights > 0, (1, peaks.float32, 1, 0.14))),
            "only what waits for weights from memory gets faster",
            f"optkit quantize {model} --int4 --data DATA{where}",
        ),
        Prediction("FP16", halved or by_peak, "tried here, one example at a time" if halved else slow_half, half),
        Prediction(
            "half the channels",
            narrower,
            QUARTER if narrower > 1 else "nothing that would become narrower takes time",
            None if where or narrower <= 1 else f"optkit prune {model} --sparsity 0.5 --data DATA",
            at_most=True,
        ),
    ]
    if in_batches:
        once = now.without(_saved(now, _computes, (1, peaks.float32, 1, 1 / BATCH)) + overhead * (1 - 1 / BATCH))
        told = "tried here; time for each example" if batched else "operators are called and weights are read once; time for each example"
        command = f"optkit bench {model} --scenario offline --batch 1,{BATCH} --data DATA{where}"
        found.append(Prediction(f"batch {BATCH}", batched or once, told, command))
    return tuple(sorted(found, key=lambda each: (each.at_most, -each.speedup)))


def of_drafts(drafts: Sequence[Draft]) -> tuple[float, str]:
    """What to expect where these were tried: the fastest; where its answers do not hold, something between it and those that do.

    `optkit quantize` then puts layers back to float until answers hold: half of the way, on a scale of ratios, is as good a guess as any.
    """
    if not drafts:
        return 1.0, "nothing for integers"
    fastest = max(drafts, key=lambda draft: draft.speedup)
    told = f"tried here: {fastest.method}, {fastest.speedup:.1f}×"
    if fastest.speedup <= FASTER:
        return 1.0, "tried here: no draft was faster"
    if fastest.faithful is None:
        return fastest.speedup, f"{told}; made-up inputs do not tell whether answers hold"
    if fastest.faithful:
        return fastest.speedup, told
    holding = max([1.0, *(draft.speedup for draft in drafts if draft.faithful)])
    back = "its answers do not hold, so layers go back to float"
    return sqrt(fastest.speedup * holding), f"{told}, but {back}; {holding:.1f}× holds"


def _integers(now: _Now) -> tuple[float, str]:
    """Convolutions go to integers together, with what leaves integers between them and comes back; products and LSTMs one by one."""
    timed = [(node, node.integer) for node in now.nodes if node.integer is not None]
    if not timed:
        by_peak = _saved(now, lambda c: _computes(c) and c.kernel is not None, (1, now.peaks.int8, 0.25, 0.25))
        return now.without(
            by_peak
        ), f"integers have {now.peaks.int8 / now.peaks.float32:.1f}× the peak" if by_peak else "nothing for integers"
    crossing = sum(node.cost.crossing * now.peaks.crossing + 2 * now.peaks.call * bool(node.cost.crossing) for node, _ in timed)
    convolutions = sum(node.seconds - seconds for node, seconds in timed if node.cost.operator == "Conv") - crossing
    others = sum(max(0.0, node.seconds - seconds) for node, seconds in timed if node.cost.operator != "Conv")
    return now.without(max(0.0, convolutions) + others), f"timed here: {_by_operator(timed, crossing)}"


def _by_operator(timed: Sequence[tuple[Placed, float]], crossing: float) -> str:
    parts = []
    for operator in dict.fromkeys(node.cost.operator for node, _ in timed):
        here = [(node.seconds, seconds) for node, seconds in timed if node.cost.operator == operator]
        before, after = (sum(each) for each in zip(*here, strict=True))
        parts.append(f"{operator} {show_seconds(before)} → {show_seconds(after)}")
    if crossing:
        parts.append(f"{show_seconds(crossing)} more to leave integers and come back where an operator has none")
    return ", ".join(parts)


def _computes(cost: Cost) -> bool:
    return cost.operator in QUANTIZABLE and cost.weights > 0 and not cost.depthwise


def roof_seconds(macs: float, moved: float, peak: float, bandwidth: float) -> float:
    """The least time that so much work can take."""
    return max(macs / peak, moved / bandwidth)


def _saved(now: _Now, concerned: Callable[[Cost], bool], after: tuple[float, float, float, float]) -> float:
    """Seconds; `after` are factors of MACs, the peak, and factors of bytes of activations and of weights."""
    macs, peak, moved, weights = after
    saved = 0.0
    for node in now.nodes:
        cost = node.cost
        before = roof_seconds(cost.macs, cost.moved + cost.weights, now.peaks.float32, now.bandwidth)
        if concerned(cost) and before:
            roof = roof_seconds(cost.macs * macs, cost.moved * moved + cost.weights * weights, peak, now.bandwidth)
            saved += max(0.0, node.seconds - now.peaks.call * cost.times) * (1 - roof / before)
    return saved
