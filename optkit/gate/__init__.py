"""Limits and the verdict on a comparison. Pure; the same code serves `optkit gate` and the `gate:` of a recipe."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite, isinf, isnan, nan
from typing import TYPE_CHECKING, Literal

from optkit.compare import Comparison, Delta

if TYPE_CHECKING:
    from optkit.gate._limits import Limit

Outcome = Literal["passed", "failed", "undecided"]
Preset = Literal["mlperf-99", "mlperf-99.9"]
PRESETS: dict[Preset, float] = {"mlperf-99": 0.01, "mlperf-99.9": 0.001}
"""Largest drop. MLPerf Inference's targets are 99 % and 99.9 % of the float32 model's score (Reddi et al. 2020, "MLPerf Inference
Benchmark"); it holds the score itself against them, a preset its whole interval."""


@dataclass(frozen=True)
class Limits:
    """What a model may cost and must gain; None does not limit. All are ratios relative to the original."""

    max_drop: float | None = None
    """Largest loss of every accuracy metric, relative to the original's score: 0.01 is one percent of it."""
    min_speedup: float | None = None
    """1.3 is 1.3 times as fast: median time before / after, or throughput where some examples take longer than others."""
    max_size: float | None = None
    """Bytes after / before."""
    min_agreement: float | None = None
    """Share of examples on which both models answer alike."""
    strict: bool = False
    """Undecided counts as failed."""
    preset: Preset | None = None
    """A `max_drop` by the name that it has elsewhere."""
    baseline: str | None = None
    """A stored report: the limits are then relative to the model in it, and not to the original."""
    max_fallback_nodes: int | None = None
    """Nodes on the CPU, on devices that are not; a number and no ratio."""


@dataclass(frozen=True)
class Check:
    """One limit held against one difference."""

    limit: str
    """The option that set it, such as `--max-drop 1%`."""
    delta: Delta
    outcome: Outcome
    reason: str
    """A sentence: what was measured, and by how much it is inside or outside the limit."""
    more_needed: int | None = None
    """How many more examples or rounds would decide, when undecided."""
    threshold: float | None = None
    """The least gain that the limit allows, for plots."""
    model: str = ""
    """Which was held against it."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of all checks: failed if any failed, else undecided if any is."""

    outcome: Outcome
    checks: tuple[Check, ...]


def limits_asked(limits: Limits, speed: str = "latency_median") -> "list[Limit]":
    """The limits that are set, in the order of the command line; `speed` is the metric that says how much faster a model is.

    Raises UsageError when none is.
    """
    from optkit.gate._limits import limits_asked

    return limits_asked(limits, speed)


def judge(comparisons: Sequence[Comparison], limits: Limits) -> Verdict:
    """Hold every limit against every difference that it concerns: on each device, at each batch size, for each model.

    A check passes when the whole 95 % interval is inside the limit (a test of non-inferiority at 2.5 %), fails when the whole
    interval is outside, and is undecided otherwise; then it says how much more data would decide. A model that gives NaN or infinite
    answers where the original does not fails whatever the limits.
    Raises UsageError when nothing is limited, or when nothing was measured of what a limit concerns.
    """
    checks = [check for comparison in comparisons for check in _finite(comparison)]
    limits_asked(limits)
    for each in zip(*(limits_asked(limits, comparison.speed) for comparison in comparisons), strict=True):
        for limit, comparison in zip(each, comparisons, strict=True):
            concerned = [delta for delta in comparison.deltas if limit.concerns(delta)]
            if not concerned and (why := comparison.left_out.get(limit.kind)):
                checks.append(_not_compared(limit, comparison, why))
            elif not concerned:
                raise limit.not_measured()
            name = f"{comparison.after}: " if len(comparisons) > 1 else ""
            checks += [replace(_check(limit, delta, name), model=comparison.after) for delta in concerned]
    return Verdict(_overall([check.outcome for check in checks], limits.strict), tuple(checks))


def _finite(comparison: Comparison) -> Iterator[Check]:
    for delta in comparison.deltas:
        if delta.metric == "finite" and delta.after < delta.before:
            reason = f"{comparison.after} gives NaN or infinite answers on {1 - delta.after:.2%} of the examples on {delta.device}"
            yield Check("finite answers", delta, "failed", reason, model=comparison.after)


def _not_compared(limit: "Limit", comparison: Comparison, why: str) -> Check:
    device = comparison.deltas[0].device if comparison.deltas else "cpu"
    nothing = Delta(limit.wants, device, 1, "", "higher", nan, nan, nan, nan, nan, "undecided", "not compared", 0)
    return Check(limit.text, nothing, "undecided", f"not compared: {why}", None, limit.threshold)


def _overall(outcomes: Sequence[Outcome], strict: bool) -> Outcome:
    if "failed" in outcomes or (strict and "undecided" in outcomes):
        return "failed"
    return "undecided" if "undecided" in outcomes else "passed"


def _check(limit: "Limit", delta: Delta, name: str) -> Check:
    if limit.most is not None:
        outcome: Outcome = "passed" if delta.after <= limit.most else "failed"
    else:
        outcome = _outcome(delta, limit.threshold)
    more = _more(delta, limit.threshold) if outcome == "undecided" else None
    reason = name + limit.measured(delta)
    if outcome == "failed":
        reason += f": {limit.short_by(delta)}"
    if outcome == "undecided":
        reason += ": " + _what_would_decide(delta, more)
    return Check(limit.text, delta, outcome, reason, more, limit.threshold if limit.most is None else None)


def _what_would_decide(delta: Delta, more: int | None) -> str:
    from optkit.stats.power import rounded_up

    if more:
        return f"undecided; about {rounded_up(more):,} more {units_of(delta)} would decide"
    if isinf(delta.low) or isinf(delta.high):
        return f"undecided; {delta.n} {units_of(delta).removesuffix('s')} is too few to say anything"
    return "undecided, and more data would hardly decide"


def _outcome(delta: Delta, threshold: float) -> Outcome:
    if isnan(delta.gain) or isnan(delta.low) or isnan(delta.high):
        return "undecided" if isfinite(delta.after) else "failed"
    # limits and gains are made of decimal fractions, which come out a hair off
    slack = 1e-9
    if delta.low >= threshold - slack:
        return "passed"
    return "failed" if delta.high < threshold - slack else "undecided"


def _more(delta: Delta, threshold: float) -> int | None:
    from optkit.stats.power import more_needed, more_needed_alike

    if "two runs" in delta.method:  # what differs between runs does not shrink with their length
        return None
    if delta.gain == 0 and delta.verdict == "same":  # not one example differed
        return more_needed_alike(delta.n, -threshold, -delta.low)
    towards = delta.gain - delta.low if delta.gain > threshold else delta.high - delta.gain
    return more_needed(delta.n, delta.gain - threshold, towards)


def units_of(delta: Delta) -> str:
    """What its interval rests on."""
    return next((unit for unit in ("groups", "rounds") if unit in delta.method), "examples")
