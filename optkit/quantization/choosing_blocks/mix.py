"""8 bits for the weights that suffer most from 4: as few as keep the accuracy that is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from optkit.progress import Progress
from optkit.quantization.blocks.algorithms import Rounded
from optkit.quantization.choosing_blocks.trial import Bench, Trial
from optkit.quantization.fidelity.room import room

MARGIN = 2.0
"""dB above the floor: a variant that is cut to fit on a few examples would just scrape past on those, and fail on others."""


def ranked(four: Rounded, eight: Rounded, noise: Mapping[str, float]) -> list[str]:
    """Names of weights, first those where 8 bits remove the most noise at the outputs for the bytes that they add."""
    worth = {
        name: noise[name] / max(eight.blocked[name].nbytes - blocked.nbytes, 1)
        for name, blocked in four.blocked.items()
        if blocked.scheme.bits < eight.blocked[name].scheme.bits
    }
    return sorted(worth, key=lambda name: worth[name], reverse=True)


def mixed(four: Rounded, eight: Rounded, names: Sequence[str]) -> Rounded:
    """`four` with the named weights from `eight`."""
    chosen = set(names)
    return replace(four, blocked={n: eight.blocked[n] if n in chosen else b for n, b in four.blocked.items()})


def mix(bench: Bench, four: Rounded, eight: Rounded, noise: Mapping[str, float], progress: Progress) -> list[Trial]:
    """Trials of mixtures, among them the one with the fewest 8-bit weights that is good, by bisection of one ranking.

    Good is what has room to spare, or keeps the drop allowed where that decides.
    """
    order = ranked(four, eight, noise)
    low, high = 1, len(order)
    tried: list[Trial] = []
    while low <= high:
        count = (low + high) // 2
        progress("mixing 4 and 8 bits", len(tried), len(order).bit_length())
        trial = bench.attempt(mixed(four, eight, order[:count]))
        if trial is not None and trial.drop is None:
            trial = replace(trial, good=room(trial.fidelity, bench.wishes.floor) >= MARGIN)
        if trial is not None:
            tried.append(trial)
        if trial is not None and trial.good:
            high = count - 1
        else:
            low = count + 1
    return tried
