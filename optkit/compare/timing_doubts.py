"""What makes times less trustworthy, in the same words wherever models are timed in rounds."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from optkit.arrays import Array
from optkit.compare import Warned
from optkit.compare.waiting import MUCH_OTHERS, MUCH_STOLEN
from optkit.stats.drift import spread, trend, wander
from optkit.stats.ratio import LUCK
from optkit.units import counted

if TYPE_CHECKING:
    from optkit.measure import Conditions

FEW_ROUNDS = 10
MUCH_WANDERING = 0.25
"""The machine's speed changed by a quarter between usual rounds: something else was running."""
MUCH_SPREAD = 0.5
MUCH_TREND = 0.1
LONG = 30.0
"""Seconds of timing; more hardly narrows an interval, as rounds do not get more."""


def few_rounds(rounds: int, place: str) -> Warned:
    return Warned(f"times {place} rest on {counted(rounds, 'round')} only", "give more with --time")


def slowest_waited(quantiles: Sequence[str], place: str) -> Warned:
    """Of quantiles that are left out, such as `p99`."""
    what = f"the slowest queries {place} waited for a busy machine, so there is no {' and no '.join(quantiles)}"
    return Warned(what, "measure on a quieter machine")


def opened_once(openings: int | None, place: str) -> Iterator[Warned]:
    if openings == 1:
        what = f"models take too long to open to be opened anew for every round {place}"
        yield Warned(what, f"chance alone may make one faster by {LUCK:.0%}, which the intervals allow for; a longer --time reopens them")


def meanwhile(found: "Conditions", place: str, busy: str, slow: str) -> Iterator[Warned]:
    """What else went on while models were timed; `busy` says what to do about other programs, `slow` what a slow clock means."""
    if found.others > MUCH_OTHERS:
        yield Warned(f"other programs used {found.others:.0%} of the machine while models were timed {place}", busy)
    if found.stolen > MUCH_STOLEN:
        yield Warned(f"the host of this virtual machine took {found.stolen:.0%} of its time while models were timed {place}", busy)
    if found.slowest_clock is not None and found.slowest_clock < 1 - MUCH_TREND:
        what = f"the processor's clock fell to {found.slowest_clock:.0%} of its fastest while models were timed {place}"
        yield Warned(what, f"{slow}; mains power, cooling or a fixed clock make it steady")


def unsteady(name: str, rounds: Sequence[Array], place: str, hint: str) -> Iterator[Warned]:
    """Of one model's times that changed while it was timed."""
    if abs(trend(rounds)) > MUCH_TREND:
        slower = "slower" if trend(rounds) > 0 else "faster"
        yield Warned(f"{name} became {abs(trend(rounds)):.0%} {slower} while it was timed {place}", hint)
    elif wander(rounds) > MUCH_WANDERING:
        yield Warned(f"times of {name} {place} vary by {wander(rounds):.0%} from round to round", hint)
    elif (within := float(np.median([spread(row) for row in rounds]))) > MUCH_SPREAD:
        yield Warned(f"times of {name} {place} vary by {within:.0%} within a round", hint)
