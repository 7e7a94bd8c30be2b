"""What makes the numbers of a comparison less trustworthy, and what to do about it."""

from collections.abc import Iterator, Sequence
from math import ceil, isfinite
from typing import TYPE_CHECKING

import numpy as np

from optkit.compare import Delta, Warned
from optkit.compare._deltas import rounds_of
from optkit.samples import FIDELITY, Samples
from optkit.stats.drift import trend, wander

if TYPE_CHECKING:
    from optkit.measure import Measurement

WIDE = 0.02
"""Half an interval of a score, relative: twice the drop that people usually allow."""
WISHED = 0.01
FEW_ROUNDS = 10
MUCH_WANDERING = 0.25
"""The machine's speed changed by a quarter between usual rounds: something else was running."""
MUCH_TREND = 0.1
CPU = "CPUExecutionProvider"


def doubts_of(before: "Measurement", after: "Measurement", deltas: Sequence[Delta]) -> tuple[Warned, ...]:
    """Every reason for doubt, the gravest first."""
    return (
        *_what_was_compared(before, after),
        *_outputs(before, after),
        *_scores(deltas),
        *_rounds(before, after),
        *_fall_backs(before, after),
    )


def _what_was_compared(before: "Measurement", after: "Measurement") -> Iterator[Warned]:
    if before.model.digest == after.model.digest:
        yield Warned(f"{before.name} and {after.name} are the same file", "any difference shown is noise; compare two different models")
    if before.machine != after.machine:
        yield Warned("the two were measured on different machines", "speeds are comparable only when measured in turns on one machine")
    if before.threads != after.threads:
        yield Warned(f"{before.name} had {before.threads} threads, {after.name} {after.threads}", "measure both with the same --threads")


def _outputs(before: "Measurement", after: "Measurement") -> Iterator[Warned]:
    for one in (before, after):
        broken = max((_broken(samples) for samples in one.samples if samples.paired_by == "example"), default=0)
        if broken:
            yield Warned(f"{one.name} gives NaN or infinite answers on {broken:,} examples", "do not use it; half precision may overflow")


def _broken(samples: Samples) -> int:
    values = np.asarray(samples.values)
    return int((values == 0).sum() if samples.metric == "finite" else (~np.isfinite(values)).sum())


def _scores(deltas: Sequence[Delta]) -> Iterator[Warned]:
    for delta in deltas:
        if "example" not in delta.method and "group" not in delta.method and "score interval" not in delta.method:
            continue
        units = "groups" if "groups" in delta.method else "examples"
        if delta.before == 0 and delta.metric not in FIDELITY:
            yield Warned(f"the original's {delta.metric} is 0", "check that the labels and --output fit this model")
        half = (delta.high - delta.low) / 2
        if delta.metric not in ("sqnr", "finite") and not half <= WIDE and delta.before:
            enough = (
                f"about {_round_up(delta.n * (half / WISHED) ** 2):,} {units} would give ±1%" if isfinite(half) else "give more of them"
            )
            yield Warned(f"{delta.n:,} {units} are few: {delta.metric} is known to {_plus_minus(half)} only", enough)


def _rounds(before: "Measurement", after: "Measurement") -> Iterator[Warned]:
    place = f"on {after.device} at batch {after.batch}"
    for one in (before, after):
        for samples in one.samples:
            if samples.metric != "latency":
                continue
            rounds = rounds_of(samples)
            if one is after and len(rounds) < FEW_ROUNDS:
                yield Warned(f"times {place} rest on {len(rounds)} rounds only", "give more with --time")
            elif len(rounds) >= FEW_ROUNDS and abs(trend(rounds)) > MUCH_TREND:
                change = "slower" if trend(rounds) > 0 else "faster"
                yield Warned(
                    f"{one.name} became {abs(trend(rounds)):.0%} {change} while it was timed {place}", "wait until the machine is steady"
                )
            elif len(rounds) >= FEW_ROUNDS and wander(rounds) > MUCH_WANDERING:
                yield Warned(
                    f"times {place} wander by {wander(rounds):.0%}", "something else keeps the machine busy; stop it, or give more --time"
                )


def _fall_backs(before: "Measurement", after: "Measurement") -> Iterator[Warned]:
    for one in (before, after):
        left = one.nodes.get(CPU, 0)
        if one.device.lower() not in ("cpu", CPU.lower()) and left:
            total = sum(one.nodes.values())
            yield Warned(
                f"{left:,} of {total:,} nodes of {one.name} run on the CPU, not on {one.device}",
                "copies to and fro cost time; see optkit inspect",
            )


def _plus_minus(half: float) -> str:
    return f"±{half:.1%}" if isfinite(half) else "no precision"


def _round_up(number: float) -> int:
    """To two significant digits."""
    step: int = 10 ** max(0, len(str(ceil(number))) - 2)
    return int(ceil(number / step) * step)
