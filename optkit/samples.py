"""Raw values read off a run, before any statistic."""

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower"]

FIDELITY = {"agreement": 1.0, "cosine": 1.0, "sqnr": 120.0, "finite": 1.0}
"""Metrics that compare a model with the original instead of with the truth, and what the original scores against itself."""
FALL_BACKS = "fall_back_nodes"
"""Nodes on the CPU although another device was asked for."""
COSTS = frozenset(
    (
        "latency",
        "throughput",
        "cpu_time",
        "first_inference",
        "load_time",
        "memory",
        "device_memory",
        "device_time",
        "size",
        "compressed_size",
        FALL_BACKS,
    )
)
"""What meters read off a run; a comparison has `latency_median`, `latency_p90`, `latency_p99`. Every other metric is accuracy."""


def kind_of(metric: str) -> Literal["accuracy", "fidelity", "cost"]:
    """What a metric of samples or of a comparison tells: whether answers are right, whether they stayed the same, or what they cost."""
    if metric in FIDELITY:
        return "fidelity"
    return "cost" if metric in COSTS or metric.startswith("latency_") else "accuracy"


@dataclass(frozen=True)
class Samples:
    """Every value of one metric for one model on one device at one batch size, in the order measured.

    `paired_by` says what makes value i of one model comparable with value i of another: the same `example`,
    the same `round` of an interleaved measurement, or nothing (`none`, such as a file size).
    """

    metric: str
    unit: str
    """`s`, `bytes`, `1/s`, `ratio` (0..1), `dB`, or empty for a bare number."""
    better: Better
    values: tuple[float, ...]
    paired_by: Literal["example", "round", "none"]
    summary: str = "mean"
    """How the values become the one number shown: `mean`, `median`, or the word of a summary in `optkit.stats.summaries`."""
    labels: tuple[float, ...] = ()
    """The truth of each example, where the summary needs it (auroc)."""
    groups: tuple[int, ...] = ()
    """Examples with the same number depend on each other; intervals are taken over groups. Empty: all independent."""
    parts: tuple[tuple[float, ...], ...] = ()
    """What the summary is made of, a row for each example, where it is not made of the values: such as errors and words. The values are
    then what each example has on its own, for pictures; 0 where it has nothing."""
