"""What makes the numbers of a comparison less trustworthy, and what to do about it."""

from collections.abc import Iterator, Sequence
from math import isfinite, isnan
from typing import TYPE_CHECKING

import numpy as np

from optkit.compare import Delta, Warned, is_mixed
from optkit.compare._deltas import rounds_of, tails_of_waiting
from optkit.compare.fall_backs import fall_backs
from optkit.compare.interrupted import interrupted
from optkit.compare.timing_doubts import FEW_ROUNDS, LONG, few_rounds, meanwhile, opened_once, slowest_waited, unsteady
from optkit.compare.waiting import is_busy
from optkit.formats.torch_compiled import is_compiled
from optkit.samples import Samples, kind_of
from optkit.stats.power import more_needed_alike, rounded_up
from optkit.units import counted

if TYPE_CHECKING:
    from optkit.measure import Conditions, Measurement

WIDE = 0.02
"""Half an interval of a score, relative: twice the drop that people usually allow."""
WISHED = 0.01
FEW_MAKE_IT = 12
"""Examples. Simulated with errors of lognormal examples, intervals miss the truth above them in 5 % to 9 % of cases instead of 2.5 %."""


def doubts_of(before: "Measurement", after: "Measurement", deltas: Sequence[Delta]) -> tuple[Warned, ...]:
    """Every reason for doubt, the gravest first."""
    return (
        *_what_was_compared(before, after),
        *_outputs(before, after),
        *_scores(after.name, deltas),
        *_few_make_it(before, after),
        *timing_doubts(before, after),
        *_fall_backs(before, after),
    )


def _what_was_compared(before: "Measurement", after: "Measurement") -> Iterator[Warned]:
    if (told := interrupted(before)) is not None:
        yield told
    if before.model.digest == after.model.digest and is_compiled(before.model.path) == is_compiled(after.model.path):
        yield Warned(f"{before.name} and {after.name} are the same file", "any difference shown is noise; compare two different models")
    if before.machine != after.machine:
        yield Warned("the two were measured on different machines", "speeds are comparable only when measured in turns on one machine")
    if before.threads != after.threads:
        yield Warned(
            f"{before.name} had {counted(before.threads, 'thread')}, {after.name} {after.threads}", "measure both with the same --threads"
        )


def _outputs(before: "Measurement", after: "Measurement") -> Iterator[Warned]:
    for one in (before, after):
        broken = max((_broken(samples) for samples in one.samples if samples.paired_by == "example"), default=0)
        if broken:
            yield Warned(f"{one.name} gives NaN or infinite answers on {broken:,} examples", "do not use it; half precision may overflow")


def _broken(samples: Samples) -> int:
    values = np.asarray(samples.values)
    return int((values == 0).sum() if samples.metric == "finite" else (~np.isfinite(values)).sum())


def _scores(name: str, deltas: Sequence[Delta]) -> Iterator[Warned]:
    for delta in deltas:
        if kind_of(delta.metric) != "accuracy" and delta.metric != "agreement":
            continue
        units = "groups" if "groups" in delta.method else "examples"
        if delta.before == 0:
            yield Warned(f"the original's {delta.metric} is 0", "check that the labels and --output fit this model")
        half = (delta.high - delta.low) / 2
        if delta.before and not isnan(half) and half > WIDE:
            told = isfinite(half) and delta.n > 1
            enough = f"about {rounded_up(_wanted(delta, half)):,} {units} would give ±1%" if told else "give more of them"
            few = f"{delta.n:,} {units} are few" if delta.n > 1 else f"one {units.removesuffix('s')} is too few"
            yield Warned(f"{few}: {delta.metric} of {name} is known to {_plus_minus(half)} only", enough)


def _wanted(delta: Delta, half: float) -> float:
    """Examples for the precision that is wished."""
    if delta.gain == 0 and delta.verdict == "same":  # none differed, and then the interval shrinks faster
        return delta.n + (more_needed_alike(delta.n, WISHED, half) or 0)
    return delta.n * (half / WISHED) ** 2


def imprecise(delta: Delta, precision: float) -> Warned | None:
    """What to say of a ratio of times that is not known as precisely as was wished."""
    ratio = 1 + delta.gain if delta.better == "higher" else 1 - delta.gain
    half = (delta.high - delta.low) / 2
    if half <= precision * ratio:
        return None
    place = f"on {delta.device} at batch {delta.batch}"
    what = f"the times {place} are known to {_plus_minus(half / ratio)}, and {_plus_minus(precision)} was wished"
    return Warned(what, "give more with --time, or measure on a quieter machine")


def _few_make_it(before: "Measurement", after: "Measurement") -> Iterator[Warned]:
    """Scores without bounds, of which a few examples decide the mean: those like them that were not seen count for nothing."""
    firsts = {samples.metric: samples for samples in before.samples}
    for second in after.samples:
        first = firsts.get(second.metric)
        if first is None or kind_of(second.metric) != "accuracy" or second.unit == "ratio" or second.summary != "mean":
            continue
        if np.isin([*first.values, *second.values], (0, 1)).all():  # right or wrong, which has bounds
            continue
        squares = (np.asarray(second.values) - np.asarray(first.values)) ** 2
        if len(squares) >= FEW_MAKE_IT and np.isfinite(squares).all() and squares.any():
            number = float(squares.sum() ** 2 / (squares**2).sum())  # as many as would make it if all made equally much
            if number < FEW_MAKE_IT:
                what = f"about {number:.0f} of {len(squares):,} examples make most of the difference in {second.metric} of {after.name}"
                yield Warned(what, "its interval is too narrow where such examples are rare; look at them, or give more examples")


def timing_doubts(before: "Measurement", after: "Measurement") -> Iterator[Warned]:
    """Of two models that were timed in turns."""
    place = f"on {after.device} at batch {after.batch}" + ("" if after.threads < 2 else f" with {after.threads} threads")
    timed = {samples.metric: rounds_of(samples) for samples in before.samples}.get("latency", [])
    if not timed:
        return
    if is_mixed(before):
        what = f"{before.name} takes longer for some examples than for others {place}"
        yield Warned(
            what, "the median is that of one of them; throughput is that of the data's own mix, and --min-speedup is held against it"
        )
    if len(timed) < FEW_ROUNDS and not (before.conditions is not None and before.conditions.settled):
        yield few_rounds(len(timed), place)
        return
    firsts, seconds = ([samples for samples in one.samples if samples.metric == "latency"] for one in (before, after))
    if firsts and seconds and (hit := tails_of_waiting(firsts[0], seconds[0], is_busy(before.conditions))):
        yield slowest_waited(hit, place)
    if before.conditions is not None:
        yield from opened_once(before.conditions.openings, place)
        yield from _meanwhile(before.conditions, place)
    yield from unsteady(
        before.name, timed, place, "models run in turns, so all suffer alike; on a quieter machine the intervals get narrower"
    )


def _meanwhile(found: "Conditions", place: str) -> Iterator[Warned]:
    """What else went on. The hint depends on what was tried: who measured for long already is not told to measure longer."""
    longer = (
        "the intervals allow for it"
        if found.settled or found.seconds >= LONG
        else f"the intervals allow for it; --time {LONG:.0f}s narrows them"
    )
    yield from meanwhile(found, place, longer, "models run in turns, so all suffer alike")


def _fall_backs(before: "Measurement", after: "Measurement") -> Iterator[Warned]:
    for one in (before, after):
        if left := fall_backs(one):
            total = sum(one.nodes.values())
            yield Warned(
                f"{left:,} of {total:,} nodes of {one.name} {'runs' if left == 1 else 'run'} on the CPU, not on {one.device}",
                "each change of device costs time; the report names the operators",
            )


def _plus_minus(half: float) -> str:
    return f"±{half:.1%}" if isfinite(half) else "no precision"
