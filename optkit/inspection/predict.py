"""What making a model smaller can be expected to gain here, from the time that its operators take and the machine's peaks."""

import shlex
from collections.abc import Callable, Sequence

from optkit.inspection.under_roof import Cost, Peaks, Placed, Prediction

QUANTIZABLE = ("Conv", "Gemm", "MatMul")
BATCH = 8
HALF = 0.5
OVERHEAD = 5e-6
"""Seconds that an operator takes whatever it does: the runtime's call, and quantizing what goes in and out."""


def predict(path: str, nodes: Sequence[Placed], busy: float, peaks: Peaks, bandwidth: float, device: str) -> tuple[Prediction, ...]:
    """The gain of each change: nodes that it concerns get faster as their roof rises, all others take what they take now.

    `busy` is the time of all operators. A node keeps the share of its roof that it reaches now.
    """
    model = shlex.quote(path)
    where = "" if device == "cpu" else f" --device {device}"
    sixteen = peaks.float16 or peaks.float32

    def changed(concerned: Callable[[Cost], bool], macs: float, peak: float, moved: float, weights: float) -> float:
        return _speedup(
            nodes, busy, (peaks.float32, bandwidth), concerned, lambda c: (c.macs * macs, c.moved * moved + c.weights * weights, peak)
        )

    slow_half = "the runtime has no fast 16-bit kernels here" if sixteen < peaks.float32 else f"{sixteen / peaks.float32:.1f}× the peak"
    found = (
        Prediction(
            "INT8",
            changed(_computes, 1, peaks.int8, 0.25, 0.25),
            f"integers have {peaks.int8 / peaks.float32:.1f}× the peak; depthwise convolutions and the rest stay as they are",
            f"optkit quantize {model} --int8 --data DATA{where}",
        ),
        Prediction(
            "INT4 weights",
            changed(lambda c: c.operator == "MatMul" and c.weights > 0, 1, peaks.float32, 1, 0.14),
            "only what waits for weights from memory gets faster",
            f"optkit quantize {model} --int4 --data DATA{where}",
        ),
        Prediction("FP16", changed(_computes, 1, sixteen, 0.5, 0.5), slow_half, f"optkit quantize {model} --fp16{where}"),
        Prediction(
            "half the channels",
            changed(_computes, HALF * HALF, peaks.float32, HALF, HALF * HALF),
            "a quarter of the multiplications; what it costs in accuracy is for optkit compare to say",
            None,
        ),
        Prediction(
            f"batch {BATCH}",
            changed(_computes, 1, peaks.float32, 1, 1 / BATCH),
            "weights are read once for all of them; time for each example",
            f"optkit bench {model} --scenario offline --batch 1,{BATCH} --data DATA{where}",
        ),
    )
    return tuple(sorted(found, key=lambda each: -each.speedup))


def _computes(cost: Cost) -> bool:
    return cost.operator in QUANTIZABLE and cost.weights > 0 and not cost.depthwise


def roof_seconds(macs: float, moved: float, peak: float, bandwidth: float) -> float:
    """The least time that so much work can take."""
    return max(macs / peak, moved / bandwidth)


def _speedup(
    nodes: Sequence[Placed],
    busy: float,
    now: tuple[float, float],
    concerned: Callable[[Cost], bool],
    after: Callable[[Cost], tuple[float, float, float]],
) -> float:
    """`now` is the peak and the bandwidth; `after` gives MACs, bytes and peak of a node that was changed."""
    saved = 0.0
    for node in nodes:
        before = roof_seconds(node.cost.macs, node.cost.moved + node.cost.weights, *now)
        if concerned(node.cost) and before:
            macs, moved, peak = after(node.cost)
            scaled = node.seconds * roof_seconds(macs, moved, peak, now[1]) / before
            # an operator never gets faster than its call takes, and none that is faster already gets slower for that
            saved += node.seconds - (scaled if scaled > node.seconds else max(scaled, min(OVERHEAD, node.seconds)))
    left = busy - saved
    return busy / left if left > 0 else 1.0
