"""Each limit as a least gain of certain deltas, and the words for what was measured of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

from optkit.compare import Delta
from optkit.errors import UsageError
from optkit.gate import PRESETS, Limits
from optkit.samples import FALL_BACKS, kind_of
from optkit.units import show_bytes, show_value


@dataclass(frozen=True)
class Limit:
    """A limit that was set."""

    text: str
    """As it is written on the command line."""
    threshold: float
    """The least gain."""
    wants: str
    """The metric that it concerns, or `accuracy` for all that are."""
    hint: str
    """How to measure that."""
    measured: Callable[[Delta], str]
    short_by: Callable[[Delta], str]
    kind: str
    """`accuracy`, `speed`, `size`, `fidelity` or `placement`."""
    most: int | None = None
    """The largest value after, where it is a number that is limited and no difference; `threshold` then says nothing."""

    def concerns(self, delta: Delta) -> bool:
        return self.wants in (delta.metric, kind_of(delta.metric))

    def not_measured(self) -> UsageError:
        named = {"latency_median": "no latency", "throughput": "no throughput", "size": "no file size", FALL_BACKS: "no device but the CPU"}
        what = named.get(self.wants, f"no {self.wants}")
        return UsageError(f"{what} was measured, so it cannot be judged", where=self.text, hint=self.hint)


def limits_asked(limits: Limits, speed: str) -> list[Limit]:
    """See `optkit.gate.limits_asked`."""
    if limits.preset is not None and limits.max_drop is not None:
        raise UsageError("a preset is a largest drop already", where=f"--preset {limits.preset}", hint="leave it or --max-drop out")
    if limits.baseline is not None and limits.min_agreement is not None:
        what = "agreement is with the original, and limits are relative to the stored report"
        raise UsageError(what, where="--min-agreement", hint="leave it or --baseline out")
    drop = None if limits.preset is None else PRESETS[limits.preset]
    makers = (
        (limits.max_drop, _max_drop),
        (drop, lambda allowed: replace(_max_drop(allowed), text=f"--preset {limits.preset}")),
        (limits.min_speedup, lambda wanted: _min_speedup(wanted, speed)),
        (limits.max_size, _max_size),
        (limits.min_agreement, _min_agreement),
    )
    asked = [maker(value) for value, maker in makers if value is not None]
    if limits.max_fallback_nodes is not None:
        asked.append(_max_fallback_nodes(limits.max_fallback_nodes))
    if not asked:
        hint = "give --max-drop, --preset, --min-speedup, --max-size, --min-agreement or --max-fallback-nodes"
        raise UsageError("there is no limit to hold a model against", hint=hint)
    return asked


def _max_drop(allowed: float) -> Limit:
    def measured(delta: Delta) -> str:
        went = f"{delta.metric} on {delta.device} went from {_value(delta, delta.before)} to {_value(delta, delta.after)}"
        by = f"{_signed(delta.gain)} of the original's score ({_signed(delta.low)} to {_signed(delta.high)})"
        return f"{went}: {by}; {_signed(-allowed)} is allowed"

    return Limit(
        f"--max-drop {_percent(allowed)}",
        -allowed,
        "accuracy",
        "give --data with labels, or limit --min-agreement, which needs none",
        measured,
        lambda delta: f"{(-allowed - delta.gain) * 100:.2f}% too much",
        "accuracy",
    )


def _min_speedup(wanted: float, metric: str) -> Limit:
    rate = metric == "throughput"

    def ratio(gain: float) -> float:
        return 1 + gain if rate else 1 / (1 - gain) if gain < 1 else inf

    def measured(delta: Delta) -> str:
        threads = "" if (delta.threads or 1) == 1 else f" with {delta.threads} threads"
        place = f"{delta.device} at batch {delta.batch}{threads}"
        value, low, high = (f"{ratio(gain):.2f}×".replace("inf", "∞") for gain in (delta.gain, delta.low, delta.high))
        over = "over the mix of examples, " if rate else ""
        return f"{value} as fast {over}on {place} ({low} to {high}); {wanted:g}× is wanted"

    return Limit(
        f"--min-speedup {wanted:g}",
        wanted - 1 if rate else 1 - 1 / wanted,
        metric,
        "measure with optkit compare or optkit gate BEFORE AFTER",
        measured,
        lambda delta: f"{wanted - ratio(delta.gain):.2f}× too little",
        "speed",
    )


def _max_size(allowed: float) -> Limit:
    def measured(delta: Delta) -> str:
        sizes = f"{show_bytes(delta.after)} of {show_bytes(delta.before)}"
        return f"{_percent(1 - delta.gain, 1)} of the size ({sizes}); {_percent(allowed)} is allowed"

    return Limit(
        f"--max-size {allowed:g}",
        1 - allowed,
        "size",
        "measure with optkit compare or optkit gate BEFORE AFTER",
        measured,
        lambda delta: f"{(1 - delta.gain - allowed) * 100:.1f}% of the original too large",
        "size",
    )


def _min_agreement(wanted: float) -> Limit:
    def measured(delta: Delta) -> str:
        low, high = 1 + delta.low, 1 + delta.high
        share = f"{delta.after:.2%} of answers on {delta.device} agree with the original ({low:.2%} to {high:.2%})"
        return f"{share}; {_percent(wanted)} is wanted"

    return Limit(
        f"--min-agreement {_percent(wanted)}",
        wanted - 1,
        "agreement",
        "add --metric agreement",
        measured,
        lambda delta: f"{(wanted - delta.after) * 100:.2f} points too little",
        "fidelity",
    )


def _max_fallback_nodes(allowed: int) -> Limit:
    def measured(delta: Delta) -> str:
        nodes = "node runs" if delta.after == 1 else "nodes run"
        found = f"{delta.after:,.0f} {nodes} on the CPU and not on {delta.device} ({delta.before:,.0f} before)"
        return f"{found}; {allowed:,} {'is' if allowed == 1 else 'are'} allowed"

    return Limit(
        f"--max-fallback-nodes {allowed}",
        0.0,
        FALL_BACKS,
        "name the device with --device, such as cuda or openvino",
        measured,
        lambda delta: f"{delta.after - allowed:,.0f} too many",
        "placement",
        most=allowed,
    )


def _value(delta: Delta, value: float) -> str:
    return show_value(value, delta.unit)


def _signed(ratio: float) -> str:
    """Two decimals, and more than a hyphen for what is below 0."""
    return f"{ratio * 100:+.2f}%".replace("-", "−").replace(".00%", "%").replace("−0%", "0%").replace("+0%", "0%")


def _percent(ratio: float, decimals: int | None = None) -> str:
    return f"{ratio * 100:g}%" if decimals is None else f"{ratio * 100:.{decimals}f}%"
