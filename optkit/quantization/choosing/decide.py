"""Which variant is handed over, or why none is."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from optkit.errors import NothingPaid
from optkit.quantization.fidelity.room import room, shortfall
from optkit.quantization.variants.trial import Bench, Trial
from optkit.quantization.variants.wishes import Wishes
from optkit.stats.interval import Interval
from optkit.units import show_percent

SLOWER = 1.03
"""A variant whose whole interval lies above this is slower; less than that nobody notices."""
SHOWN = 1.01
"""Nobody notices it, but it is shown to be slower: no choice where another is not."""
NEARLY = 1.2
"""What seems this much slower at most may have had bad luck: one session of a file may take a tenth longer than another."""
FASTER = 0.97
TIE = 0.05
"""Variants this close in time are as good as equally fast."""
DECIBEL = 0.01
"""Share of its time that a variant may take more for each dB of room that it has more: 5 dB are worth 5 %."""
LEAST_GAIN = 0.1
"""Share of the float graph's time that integers must save where they leave less than ample room.

A net of landmarks takes 0.88 of its time simplified and 0.82 in integers, at 24 dB: a third of the landmarks then lie a cell off.
"""
AMPLE = 10.0
"""dB of room (see room.py) from which more shows in no score."""
NOISE = 0.02
"""Variants this close are equally good; the one with more room is taken, else the first, so that chance does not choose."""


def time_ratio(trial: Trial) -> float:
    """Time over the original's; infinite where it was not measured."""
    return trial.ratio.value if trial.ratio is not None else float("inf")


def decide(trials: Sequence[Trial], bench: Bench, wishes: Wishes) -> Trial:
    """The variant to hand over. Raises NothingPaid."""
    smaller = [t for t in trials if t.size < bench.size and t.ratio is not None]
    sound = [t for t in smaller if t.good]
    not_slower = worth_taking(trials, bench, wishes)
    if not_slower:
        lead = min(map(time_ratio, not_slower))
        if lead >= FASTER:  # nothing computes faster: of the smallest files of those that are no slower the most faithful one
            near = [t for t in not_slower if time_ratio(t) <= max(1, lead) * (1 + TIE)]
            near = [t for t in near if t.ratio is not None and t.ratio.low <= SHOWN] or near
            small = [t for t in near if t.size <= min(n.size for n in near) * (1 + TIE)]
            return max(small, key=lambda t: (round(t.fidelity.sqnr), not t.treatment.ways))
        least = min(_price(t, wishes) for t in not_slower)
        alike = [t for t in not_slower if _price(t, wishes) <= least * (1 + NOISE)]
        return max(alike, key=lambda t: round(_useful_room(t, wishes)))  # the first of those that have the most
    if sound and wishes.accept_size_only:
        return min(sound, key=lambda t: t.size)
    raise _nothing_paid(smaller, sound, wishes, bench)


def worth_taking(trials: Sequence[Trial], bench: Bench, wishes: Wishes) -> list[Trial]:
    """Those that are smaller, faithful enough, not slower, and do not lose much for little."""
    sound = [t for t in trials if t.size < bench.size and t.good]
    return _worth_their_loss([t for t in sound if t.ratio is not None and t.ratio.low <= SLOWER], wishes)


def price_range(trial: Trial, wishes: Wishes) -> "PriceRange":
    """What the variant costs by its time and by what it lacks in room, as far as its time is known."""
    assert trial.ratio is not None
    low, high = (_price(replace(trial, ratio=Interval(end, end, end)), wishes) for end in (trial.ratio.low, trial.ratio.high))
    return PriceRange(_price(trial, wishes), low, high)


class PriceRange(NamedTuple):
    """Least first where they are sorted."""

    value: float
    low: float
    high: float


def _worth_their_loss(trials: Sequence[Trial], wishes: Wishes) -> list[Trial]:
    """Those without the ones that lose something for nothing, or much for little, next to one that computes in float."""
    plain = min((time_ratio(t) for t in trials if not t.treatment.ways), default=float("inf"))
    ample = {True: FASTER, False: 1 - LEAST_GAIN}
    return [t for t in trials if not t.treatment.ways or time_ratio(t) <= ample[_useful_room(t, wishes) >= AMPLE] * plain]


def _price(trial: Trial, wishes: Wishes) -> float:
    """Its time, and what it lacks in room."""
    return time_ratio(trial) * (1 + DECIBEL * (AMPLE - _useful_room(trial, wishes)))


def _useful_room(trial: Trial, wishes: Wishes) -> float:
    return min(room(trial.fidelity, wishes.floor), AMPLE)


def _nothing_paid(smaller: Sequence[Trial], sound: Sequence[Trial], wishes: Wishes, bench: Bench) -> NothingPaid:
    if sound:
        best = min(sound, key=time_ratio)
        return NothingPaid(
            f"INT8 does not pay here: the best variant ({best.treatment.name}) takes {time_ratio(best):.2f}× the time of the original",
            hint=f"--accept-size-only takes it knowingly, for a file of {best.size / bench.size:.0%} of the size",
        )
    if smaller:
        best = max(smaller, key=lambda t: room(t.fidelity, wishes.floor))
        if wishes.max_drop is not None and best.drop is not None:
            return NothingPaid(
                f"INT8 loses too much here: the most faithful variant ({best.treatment.name}) loses {show_percent(best.drop)} "
                f"of the original's score, {show_percent(wishes.max_drop)} is allowed",
                hint="give more calibration examples with --data, leave layers out with --exclude, or allow more with --max-drop",
            )
        on = "" if wishes.real else " on made-up inputs"
        examples = "more calibration examples" if wishes.real else "real examples"
        return NothingPaid(
            f"INT8 loses too much{on or ' here'}, even the most faithful variant ({best.treatment.name}): "
            f"{shortfall(best.fidelity, wishes.floor)}",
            hint=f"give {examples} with --data, leave layers out with --exclude, or set the noise allowed with --min-sqnr",
        )
    reasons = "; ".join(f"{name}: {why}" for name, why in bench.failures.items())
    return NothingPaid(f"no INT8 variant is smaller than the original{f' ({reasons})' if reasons else ''}", hint="try --fp16")
