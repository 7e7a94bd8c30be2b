"""A model measured now against one measured earlier: what may be compared, and what may not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from optkit.compare import Comparison, Delta, Warned, is_mixed
from optkit.compare._deltas import QUANTILES, deltas_of, ratio_delta, rounds_of, tails_of_waiting
from optkit.compare._doubts import timing_doubts
from optkit.compare.fall_backs import once_on_each_device
from optkit.compare.interrupted import interrupted, left_out_by_then
from optkit.compare.waiting import is_busy
from optkit.samples import FIDELITY, Samples, kind_of
from optkit.stats.apart import ratio_of_intervals, ratio_of_runs
from optkit.stats.interval import Interval
from optkit.stats.order import runs_needed
from optkit.stats.ratio import at_typical_speed, ratio_of_quantiles

if TYPE_CHECKING:
    from optkit.measure import Machine, Measurement

SPEED, ACCURACY = "speed", "accuracy"
BETWEEN_RUNS = frozenset({"latency_median", "throughput", "device_time", "memory", "device_memory"})
"""What two runs on one machine show alike (see `ratio_of_runs`). The slowest queries, CPU time and cold starts are those of the hour: of
a file measured eight times beside other programs, p90 or p99 was off by 20 to 40 % in most runs."""


@dataclass(frozen=True)
class Pair:
    """A model and, if there is one, the original that it was measured in turns with."""

    model: "Measurement"
    original: "Measurement | None" = None


def compare_with_stored(stored: Sequence[Pair], now: Sequence[Pair], same_data: bool, seed: int) -> Comparison:
    """What differs between a stored measurement and one made now, at every device and batch size that both have.

    Scores are paired by example where the examples are the same. Speeds and memory are compared on the same machine only. Where the
    same original was timed beside both, the ratios to it are compared, so that the state of the machine cancels out; otherwise the times
    themselves, with room for how much two runs differ. Fidelity is not compared: it is relative to an original, not to the stored model.
    """
    places = {_place(pair): pair for pair in stored}
    pairs = [(places[place], pair) for pair in now if (place := _place(pair)) in places]
    if not pairs:  # what does not depend on threads can be compared all the same
        pairs = [(then, pair) for pair in now for then in stored if _place(then)[:2] == _place(pair)[:2]][:1]
    left_out: dict[str, str] = {}
    if not same_data:
        left_out[ACCURACY] = "the stored report rests on other examples"
    if pairs and (differs := machines_differ(pairs[0][0].model.machine, pairs[0][1].model.machine, pairs[0][1].model.device)):
        left_out[SPEED] = f"it was measured on another machine ({differs})"
    elif not pairs:
        left_out[SPEED] = "the stored report has no times on this device at this batch size"
    elif any(then.model.threads != pair.model.threads for then, pair in pairs):
        left_out[SPEED] = "it was measured with another number of threads"
    measured = [pair.model for pair in (*now, *stored)]
    cut = any(each.conditions is not None and each.conditions.unscored for each in measured)
    kept = left_out | {ACCURACY: "some examples are not scored"} if cut else left_out
    deltas = list(once_on_each_device(delta for then, pair in pairs for delta in _deltas(then, pair, kept, seed)))
    if not pairs and stored and now:
        files = replace(now[0].model, samples=tuple(each for each in now[0].model.samples if each.metric in ("size", "compressed_size")))
        deltas = list(deltas_of(stored[0].model, files, seed))
    first, second = stored[0].model.name, now[0].model.name
    mixed = any(is_mixed(each.model) for pair in pairs for each in pair)
    doubts = (*dict.fromkeys(told for each in measured if (told := interrupted(each)) is not None), *_doubts(pairs, left_out))
    for each in measured:
        left_out = left_out_by_then(each, deltas) | left_out
    return Comparison(first, second, tuple(deltas), doubts, left_out=left_out, speed="throughput" if mixed else "latency_median")


def _place(pair: Pair) -> tuple[str, int, int]:
    return pair.model.device, pair.model.batch, pair.model.threads


def machines_differ(a: "Machine", b: "Machine", device: str = "cpu") -> str:
    """What tells two machines apart where `device` is timed, in words; empty where they are alike. Versions do not count."""
    facts = [(a.processor, b.processor), (_system(a), _system(b)), *([] if device == "cpu" else [(_gpus(a), _gpus(b))])]
    found = [f"{one} then, {other} now" for one, other in facts if one != other]
    if not found and a.cores != b.cores:
        found.append(f"{a.cores} cores then, {b.cores} now")
    if not found and a.features != b.features:
        found.append(f"other instructions: {', '.join(sorted({*a.features} ^ {*b.features}))}")
    return "; ".join(found)


def _gpus(machine: "Machine") -> str:
    return ", ".join(machine.gpus) or "no GPU"


def _system(machine: "Machine") -> str:
    """Operating system and architecture, without the version between them."""
    words = machine.system.split()
    return f"{words[0]} {words[-1]}" if words else ""


def _deltas(then: Pair, now: Pair, left_out: dict[str, str], seed: int) -> Iterator[Delta]:
    kept = [each for each in now.model.samples if _comparable(each, left_out)]
    yield from deltas_of(then.model, replace(now.model, samples=tuple(each for each in kept if each.paired_by != "round")), seed)
    firsts = {each.metric: each for each in then.model.samples}
    for second in kept:
        if second.paired_by == "round" and (first := firsts.get(second.metric)) is not None:
            yield from _times(first, second, then, now, seed)


def _comparable(samples: Samples, left_out: dict[str, str]) -> bool:
    if samples.metric in FIDELITY:
        return False
    if kind_of(samples.metric) == "accuracy":
        return ACCURACY not in left_out
    return samples.metric in ("size", "compressed_size") or SPEED not in left_out


def _times(first: Samples, second: Samples, then: Pair, now: Pair, seed: int) -> Iterator[Delta]:
    runs = min(len(first.values), len(second.values))
    timed = second.unit in ("s", "1/s")
    busy = is_busy(then.model.conditions) or is_busy(now.model.conditions)
    hit = tails_of_waiting(first, second, busy) if second.metric == "latency" else ()
    original_then, original_now = (_of(pair.original, second.metric) for pair in (then, now))
    for name, at in QUANTILES if second.metric == "latency" else ((second.metric, 0.5),):
        if at > 0.5 and (runs < runs_needed(at) or name.removeprefix("latency_") in hit):
            continue
        beside = (original_now, original_then) if timed and original_then is not None and original_now is not None else None
        if beside is None and name not in BETWEEN_RUNS:
            continue
        before, after = (float(np.quantile(each.values, at, method="averaged_inverted_cdf")) for each in (first, second))
        if beside is not None:
            ratio = ratio_of_intervals(_ratio(beside[0], second, at, seed), _ratio(beside[1], first, at, seed))
            before = after / ratio.value  # what the stored model would take today
            method = "ratios to the same original, each from a block bootstrap over rounds"
        else:
            ratio = ratio_of_runs(rounds_of(first), rounds_of(second), at, seed)
            method = "two runs, block bootstrap over rounds of each"
        rounds = min(len(rounds_of(each)) for each in (first, second))
        yield ratio_delta(name, (before, after), ratio, method, rounds, second, now.model)


def _of(measurement: "Measurement | None", metric: str) -> Samples | None:
    return None if measurement is None else next((each for each in measurement.samples if each.metric == metric), None)


def _ratio(original: Samples, model: Samples, at: float, seed: int) -> Interval:
    before, after = rounds_of(original), rounds_of(model)
    if at == 0.5:
        before, after = at_typical_speed(before, after)
    return ratio_of_quantiles(before, after, at, seed)


def _doubts(pairs: Sequence[tuple[Pair, Pair]], left_out: dict[str, str]) -> Iterator[Warned]:
    if ACCURACY in left_out:
        yield Warned(f"accuracy was not compared: {left_out[ACCURACY]}", "give the --data that the stored report was made with")
    if SPEED in left_out:
        yield Warned(f"speeds were not compared: {left_out[SPEED]}", "store a report of this machine, or judge sizes and accuracy only")
        return
    then, now = pairs[0]
    if now.original is not None:
        yield from timing_doubts(now.original, now.model)
    else:
        hint = "name the original too, optkit gate BEFORE AFTER --baseline REPORT, so that the machine's state cancels out"
        what = "the two were timed in different runs: intervals leave room for that, and there is no p90, p99, CPU time or cold start"
        yield Warned(what, hint)
    other = [
        f"{name} {old} then, {new} now"
        for name, old in then.model.machine.versions.items()
        if (new := now.model.machine.versions.get(name)) not in (old, None) and name.startswith("onnxruntime")
    ]
    if other:
        yield Warned(f"other versions: {', '.join(other)}", "a difference may come from there; measure both with one version")
    if not all(isfinite(each) for pair in (then, now) for samples in pair.model.samples for each in samples.values[:1]):
        yield Warned("some values are not finite", "do not use this model")
