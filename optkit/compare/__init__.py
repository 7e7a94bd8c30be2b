"""Two measurements to differences with intervals. Pure: the same measurements give the same comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from optkit.samples import Better

if TYPE_CHECKING:
    from optkit.measure import Measurement

Says = Literal["better", "worse", "same", "undecided"]
"""`same`: a difference of consequence is excluded (or both are equal by count); `undecided`: the interval leaves open
whether the difference is of consequence, or even its direction."""


@dataclass(frozen=True)
class Delta:
    """One metric, before against after. `gain`, `low` and `high` are relative to before; positive is better.

    They are NaN where before is 0, which nothing is relative to, or where values are not finite; `low` and `high` are infinite where
    a single round or group says nothing of how much they differ.
    """

    metric: str
    device: str
    batch: int
    unit: str
    better: Better
    before: float
    after: float
    gain: float
    low: float
    high: float
    verdict: Says
    method: str
    n: int
    """Independent units that the interval rests on (examples, groups or rounds); 1 where the value is exact."""
    p: float | None = None
    """Of scores: the chance of a difference at least so large if there were none, two-sided; McNemar's test for right and wrong."""
    threads: int | None = None
    """That the models had; None in reports of an optkit that measured with one number of threads only."""


@dataclass(frozen=True)
class Warned:
    """Something that makes a number less trustworthy, and what to do about it."""

    what: str
    hint: str


@dataclass(frozen=True)
class Slice:
    """A difference on some of the examples only: those with one label, or one value of a column."""

    by: str
    """`label`, or the name of the column."""
    value: str
    """What these examples have in common; for a column of many numbers a quarter of them, such as `0.2 to 0.5`."""
    examples: int
    delta: Delta
    """`verdict` is corrected for how many slices were looked at; `low`, `high` and `p` are those of this slice alone."""
    corrected: float | None
    """`p` after Holm's correction over all slices of the metric on the device; None where there is no p."""


@dataclass(frozen=True)
class Comparison:
    """All differences between two models."""

    before: str
    after: str
    deltas: tuple[Delta, ...]
    warnings: tuple[Warned, ...] = ()
    slices: tuple[Slice, ...] = ()
    """Where it was asked for: who paid, worst first, for each metric on each device."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """What is not compared, `speed`, `accuracy` or `fidelity`, and why: with a stored report, or because Ctrl-C ended it before."""
    speed: Literal["latency_median", "throughput"] = "latency_median"
    """The metric that says how much faster: throughput where some examples take longer than others, for which a median is that of one."""


def compare(before: "Measurement", after: "Measurement", seed: int = 0) -> Comparison:
    """What differs between two models that were measured in turns on the same examples, device and batch size.

    Scores are paired by example, times by round. Latency gives three deltas, `latency_median`, `latency_p90` and `latency_p99`, the
    latter two only when there are enough runs (`stats.order.runs_needed`: 100 and 1000) and they show the models and not queries that
    waited for a busy machine (`waiting`). Throughput, load time and memory are compared by their medians, file sizes exactly, and so are
    nodes that fall back to the CPU, on other devices. Median times and throughput are those at the machine's typical speed: what slowed
    both models down in a round is taken out (`stats.ratio.at_typical_speed`). Relative bounds of scores take the score before as given.

    A difference is `better` or `worse` when its whole 95 % interval is beyond the band of no consequence (`BANDS`: 1 % for latency and
    throughput, 5 % for load time, 10 % for memory, nothing for scores and sizes), and `same` when the whole interval is within it.

    Raises ValueError when the two were not measured on the same device and batch size, or not on the same examples or rounds.
    """
    from optkit.compare._deltas import deltas_of
    from optkit.compare._doubts import doubts_of
    from optkit.compare.interrupted import left_out_by_then

    if (before.device, before.batch) != (after.device, after.batch):
        here, there = (f"{m.device} at batch {m.batch}" for m in (before, after))
        raise ValueError(f"{before.name} was measured on {here}, {after.name} on {there}")
    deltas = deltas_of(before, after, seed)
    return Comparison(
        before.name,
        after.name,
        deltas,
        doubts_of(before, after, deltas),
        left_out=left_out_by_then(after, deltas),
        speed="throughput" if is_mixed(before) else "latency_median",
    )


def compare_all(measurements: Sequence["Measurement"], seed: int = 0) -> tuple[Comparison, ...]:
    """One comparison for each model after the first, over all devices, batch sizes and numbers of threads, from what `measure` returns.

    In there, all models of one such place follow each other, in the same order each time.
    """
    places: dict[tuple[str, int, int], list[Measurement]] = {}
    for found in measurements:
        places.setdefault((found.device, found.batch, found.threads), []).append(found)
    rows = list(places.values())
    pairs = [[compare(row[0], row[i], seed) for row in rows] for i in range(1, len(rows[0]) if rows else 0)]
    return tuple(_joined(each) for each in pairs)


def sliced(
    comparisons: Sequence[Comparison], measurements: Sequence["Measurement"], by: Mapping[str, Sequence[str]], seed: int = 0
) -> tuple[Comparison, ...]:
    """The comparisons that `compare_all` makes of these measurements, with slices: `by` says for each example which slice it is in.

    On each slice a score is compared as it is on all examples. Whether a slice is `better` or `worse` is decided by its p-value after
    Holm's correction over all slices of that score.
    """
    from optkit.compare.slices import slices_of

    first: dict[str, tuple[int, int]] = {}
    rows: dict[str, list[Measurement]] = {}
    for found in measurements:  # scores are taken once on each device
        if first.setdefault(found.device, (found.batch, found.threads)) == (found.batch, found.threads):
            rows.setdefault(found.device, []).append(found)
    return tuple(
        replace(
            each,
            slices=tuple(
                found for word, names in by.items() for row in rows.values() for found in slices_of(row[0], row[i], word, names, seed)
            ),
        )
        for i, each in enumerate(comparisons, 1)
    )


def is_mixed(measured: "Measurement") -> bool:
    """Whether some examples took longer than others, so that their mix was timed."""
    return measured.conditions is not None and measured.conditions.mixed


def with_precision_wished(comparison: Comparison, precision: float) -> Comparison:
    """A warning added for each ratio of times that is known less precisely than was wished: half its interval, relative to it."""
    from optkit.compare._doubts import imprecise

    missed = (
        warned for delta in comparison.deltas if delta.metric == comparison.speed and (warned := imprecise(delta, precision)) is not None
    )
    return replace(comparison, warnings=(*comparison.warnings, *missed))


def _joined(parts: Sequence[Comparison]) -> Comparison:
    from optkit.compare.fall_backs import once_on_each_device

    deltas = once_on_each_device(delta for part in parts for delta in part.deltas)
    warnings = tuple(dict.fromkeys(warned for part in parts for warned in part.warnings))
    speed = max((part.speed for part in parts), key=("latency_median", "throughput").index)
    left_out = {kind: why for kind, why in parts[0].left_out.items() if all(kind in part.left_out for part in parts)}
    return Comparison(parts[0].before, parts[0].after, deltas, warnings, left_out=left_out, speed=speed)
