"""Raw values read off a run, before any statistic."""

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower"]


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
    summary: Literal["mean", "median", "auroc"] = "mean"
    """How the values become the one number shown."""
    labels: tuple[float, ...] = ()
    """The truth of each example, where the summary needs it (auroc)."""
    groups: tuple[int, ...] = ()
    """Examples with the same number depend on each other; intervals are taken over groups. Empty: all independent."""
