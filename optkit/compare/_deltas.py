"""Samples of two models to differences: which statistic suits which samples."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import TYPE_CHECKING

import numpy as np

from optkit.arrays import Array
from optkit.compare import Delta, Says
from optkit.compare.fall_backs import fall_back_delta
from optkit.compare.waiting import TAILS, is_busy, quantile_name, waited
from optkit.samples import FIDELITY, Better, Samples
from optkit.stats.interval import Interval, Z, chance_of
from optkit.stats.order import runs_needed
from optkit.stats.paired import mean_difference, median_difference, summary_difference
from optkit.stats.proportions import FEW_DISCORDANT, mcnemar, right_and_wrong, share
from optkit.stats.ratio import allowing_for_luck, at_typical_speed, ratio_of_quantiles
from optkit.stats.summaries import PLAIN, Summary, make_summary, summarize

if TYPE_CHECKING:
    from optkit.measure import Measurement


BANDS = {
    "latency": 0.01,
    "throughput": 0.01,
    "cpu_time": 0.02,
    "device_time": 0.02,
    "load_time": 0.05,
    "first_inference": 0.05,
    "memory": 0.10,
    "device_memory": 0.05,
}
"""Relative differences of no consequence. Two sessions of the same file differ by up to 1 % for as long as they live (where their
memory happens to lie), which no number of rounds averages out; a fresh process loads from caches that differ more, and gets its memory
in pages and arenas. Scores and sizes have none: every example and byte counts."""
FIDELITY_BAND = 0.001
COUNTED = ("agreement", "finite")
"""Fidelity that is a count of examples; others are 1 only where answers are identical, which says nothing of how far off they could be."""
SAME_QUERIES = ("throughput", "cpu_time")
"""What is read off the queries that latency is read off."""
QUANTILES = (("latency_median", 0.5), ("latency_p90", 0.9), ("latency_p99", 0.99))


@dataclass(frozen=True)
class _Found:
    metric: str
    before: float
    after: float
    gain: Interval
    """Relative to before, positive being better."""
    method: str
    n: int
    equal: bool = False
    """The values are the same, one by one."""
    p: float | None = None


def deltas_of(before: "Measurement", after: "Measurement", seed: int) -> tuple[Delta, ...]:
    """All differences, in the order in which the samples were taken."""
    firsts = {samples.metric: samples for samples in before.samples}
    busy, found = is_busy(before.conditions), []
    openings = before.conditions.openings if before.conditions is not None else None
    for second in after.samples:
        first = firsts.get(second.metric) or _perfect(second)
        if first is not None:
            found += [_delta(each, second, after.device, after.batch) for each in _differences(first, second, seed, busy, openings)]
    fallen = fall_back_delta(before, after)
    return tuple(replace(each, threads=after.threads) for each in (*found, *([] if fallen is None else [fallen])))


def score_delta(first: Samples | None, second: Samples, device: str, batch: int, seed: int) -> Delta:
    """The difference of one score; without `first`, to what the original scores against itself."""
    before = first or _perfect(second)
    if before is None:
        raise ValueError(f"{second.metric} was measured of one model only")
    return _delta(_scores(before, second, seed), second, device, batch)


def rounds_of(samples: Samples) -> list[Array]:
    """The values of each round; without groups every value is a round of its own."""
    values = np.asarray(samples.values)
    if not samples.groups:
        return list(values[:, None])
    numbers, counts = np.unique(np.asarray(samples.groups), return_counts=True)
    by_round = values[np.argsort(np.asarray(samples.groups), kind="stable")]
    return np.split(by_round, np.cumsum(counts)[:-1]) if len(numbers) else []


def tails_of_waiting(first: Samples, second: Samples, busy: bool) -> tuple[str, ...]:
    """`p90` and `p99` where both have runs enough for them and they show queries that waited for a busy machine."""
    runs = min(len(first.values), len(second.values))
    known = [at for at in TAILS if runs >= runs_needed(at)]
    return tuple(quantile_name(at) for at in waited([rounds_of(first), rounds_of(second)], busy, known))


def _differences(first: Samples, second: Samples, seed: int, busy: bool, openings: int | None) -> Iterator[_Found]:
    if second.paired_by == "example":
        yield _scores(first, second, seed)
    elif second.paired_by == "round":
        yield from _rounds(first, second, seed, busy, openings)
    else:
        before, after = first.values[0], second.values[0]
        gain = _gain(Interval(after - before, after - before, after - before), before, second.better)
        yield _Found(second.metric, before, after, gain, "exact", 1, before == after)


def _scores(first: Samples, second: Samples, seed: int) -> _Found:
    x, y = np.asarray(first.values, dtype=np.float64), np.asarray(second.values, dtype=np.float64)
    if len(x) != len(y):
        raise ValueError(f"{second.metric} has {len(x)} scores before and {len(y)} after")
    groups = np.asarray(second.groups) if second.groups else None
    n = len(y) if groups is None else len(np.unique(groups))
    if not (is_finite(first) and is_finite(second)):
        before, after = (summary_of(each) if is_finite(each) else nan for each in (first, second))
        return _Found(second.metric, before, after, Interval(nan, nan, nan), "none: some scores are not finite", n)
    before, after = summary_of(first), summary_of(second)
    difference, method, p = _paired(x, y, first, second, groups, seed)
    p = chance_of(difference, n) if p is None else p
    equal = bool((x == y).all()) and first.parts == second.parts
    if equal and second.unit == "ratio" and second.metric not in FIDELITY and difference.low == difference.high:
        difference, method = _none_differed(n), f"{method}, none of which differed"
    gain = _gain(difference, before, second.better)
    if second.unit == "ratio" and second.better == "higher" and gain.low < -1:  # nobody gets less than nothing right
        gain = Interval(gain.value, -1.0, gain.high)
    return _Found(second.metric, before, after, gain, method, n, equal, None if isnan(p) else p)


def _paired(x: Array, y: Array, first: Samples, second: Samples, groups: Array | None, seed: int) -> tuple[Interval, str, float | None]:
    """The difference with its interval, the method, and the p-value where the method has one of its own."""
    over = "paired bootstrap over " + ("examples" if groups is None else "groups")
    if second.summary == "median":
        return median_difference(x, y, groups, seed), over, None
    if second.summary not in PLAIN:
        before, after = (made_summary(each) for each in (first, second))
        return summary_difference(before, after, len(y), groups, seed), over, None
    whole = second.metric not in FIDELITY or second.metric in COUNTED
    if whole and groups is None and np.isin(x, (0, 1)).all() and np.isin(y, (0, 1)).all():
        if second.metric in COUNTED and x.all():
            alone = share(int(y.sum()), len(y))
            return Interval(alone.value - 1, alone.low - 1, alone.high - 1), "Wilson score interval", nan
        gained, lost = int(((y == 1) & (x == 0)).sum()), int(((y == 0) & (x == 1)).sum())
        exact = "exact McNemar and " if 0 < gained + lost < FEW_DISCORDANT else ""
        return right_and_wrong(gained, lost, len(y)), f"{exact}Tango score interval", mcnemar(gained, lost)
    return mean_difference(x, y, groups, seed), over, None


def _none_differed(n: int) -> Interval:
    """Of a share of which no unit changed, as Tango's interval has it: more units might have shown some that do."""
    most = Z * Z / (n + Z * Z)
    return Interval(0.0, -most, most)


def made_summary(samples: Samples) -> Summary:
    """The summary of scores that is no mean."""
    return make_summary(samples.summary, np.asarray(samples.values), samples.parts, np.asarray(samples.labels))


def summary_of(samples: Samples) -> float:
    """The one number that scores come to."""
    return summarize(samples.summary, np.asarray(samples.values), samples.parts, np.asarray(samples.labels))


def is_finite(samples: Samples) -> bool:
    """Whether no score, and nothing that a summary is made of, is NaN or infinite."""
    return bool(np.isfinite(samples.values).all()) and all(np.isfinite(row).all() for row in samples.parts)


def _rounds(first: Samples, second: Samples, seed: int, busy: bool, openings: int | None) -> Iterator[_Found]:
    if second.metric != "latency":
        yield _quantile(second.metric, 0.5, first, second, seed, openings if second.metric in SAME_QUERIES else None)
        return
    runs = min(len(first.values), len(second.values))
    hit = tails_of_waiting(first, second, busy)
    for name, at in QUANTILES:
        if at == 0.5 or (runs >= runs_needed(at) and name.removeprefix("latency_") not in hit):
            yield _quantile(name, at, first, second, seed, openings)


def _quantile(name: str, at: float, first: Samples, second: Samples, seed: int, openings: int | None) -> _Found:
    before, after = rounds_of(first), rounds_of(second)
    method = "block bootstrap over rounds"
    # what slows a machine down does not change how much memory a model takes, and it is what the slowest queries are made of
    if at == 0.5 and second.unit in ("s", "1/s"):
        before, after = at_typical_speed(before, after)
        method += ", at the machine's typical speed"
    x, y = (float(np.quantile(np.concatenate(rounds), at, method="averaged_inverted_cdf")) for rounds in (before, after))
    if x > 0 and np.isfinite(x) and np.isfinite(y):
        gain = _faster(allowing_for_luck(ratio_of_quantiles(before, after, at, seed), openings), second.better)
    else:
        gain = _gain(Interval(y - x, y - x, y - x), x, second.better)
    return _Found(name, x, y, gain, method, len(after))


def ratio_delta(
    name: str, values: tuple[float, float], ratio: Interval, method: str, n: int, samples: Samples, measured: "Measurement"
) -> Delta:
    """The difference of two values of which the ratio after / before is known."""
    found = _Found(name, *values, _faster(ratio, samples.better), method, n)
    return replace(_delta(found, samples, measured.device, measured.batch), threads=measured.threads)


def _faster(ratio: Interval, better: Better) -> Interval:
    if better == "higher":
        return Interval(ratio.value - 1, ratio.low - 1, ratio.high - 1)
    return Interval(1 - ratio.value, 1 - ratio.high, 1 - ratio.low)


def _gain(difference: Interval, before: float, better: Better) -> Interval:
    low, high = (difference.low, difference.high) if better == "higher" else (-difference.high, -difference.low)
    value = difference.value if better == "higher" else -difference.value
    if low == value == high == 0:
        return Interval(0.0, 0.0, 0.0)
    return Interval(value / abs(before), low / abs(before), high / abs(before)) if before else Interval(nan, nan, nan)


def _delta(found: _Found, samples: Samples, device: str, batch: int) -> Delta:
    band = FIDELITY_BAND if samples.metric in FIDELITY else BANDS.get(samples.metric, 0.0)
    gain = found.gain
    return Delta(
        metric=found.metric,
        device=device,
        batch=batch,
        unit=samples.unit,
        better=samples.better,
        before=found.before,
        after=found.after,
        gain=gain.value,
        low=gain.low,
        high=gain.high,
        verdict=_says(found, band),
        method=found.method,
        n=found.n,
        p=found.p,
    )


def _says(found: _Found, band: float) -> Says:
    low, high = found.gain.low, found.gain.high
    if found.equal:
        return "same"
    if isnan(low) or isnan(high):
        return "undecided"
    if low > band:
        return "better"
    if high < -band:
        return "worse"
    return "same" if -band <= low and high <= band else "undecided"


def _perfect(samples: Samples) -> Samples | None:
    """What the original scores against itself."""
    if samples.metric not in FIDELITY:
        return None
    whole = (FIDELITY[samples.metric],) * len(samples.values)
    parts = tuple((of, of) for _, of in samples.parts)  # agreement of finds: a sum over a sum
    return Samples(samples.metric, samples.unit, samples.better, whole, samples.paired_by, samples.summary, (), samples.groups, parts)
