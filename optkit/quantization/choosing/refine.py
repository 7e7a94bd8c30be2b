"""Give the nodes that cost the most fidelity back to float until a variant is faithful enough, at the least cost in time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from optkit.progress import Progress
from optkit.quantization.choosing.sensitivity import dearest_first, noise_by_node
from optkit.quantization.fidelity.room import room
from optkit.quantization.operators import weight_of, weighted_nodes
from optkit.quantization.variants.treatment import Treatment
from optkit.quantization.variants.trial import Bench, Trial
from optkit.units import counted

WHOLE_SHARE = 0.1
"""Of all weights, that may go back to float32 in the file with the layers that do."""
CLOSE = 8
"""Where one of so many layers more or less is left open, the search ends."""
MARGIN = 2.0
"""dB of room. A variant that is cut to fit on a few examples would just scrape past on those, and fail on others."""


def refine(bench: Bench, start: Trial, floor: float | None, saved: Mapping[str, float], progress: Progress) -> list[Trial]:
    """Variants of `start` with more nodes in float, among them one with about the fewest that is good.

    These are at most 2 + log2(nodes). Small layers keep their weights in float32 too.

    Good is what has room to spare (see room.py; `floor` as there), or keeps the drop allowed where that decides. The first guess is
    what does if noise adds up.
    `saved` is what each node saves in integers, in seconds: what saves little and costs much fidelity goes first.
    """
    noise = noise_by_node(bench, start.treatment, progress)
    order = dearest_first(noise, saved)
    low, high, found = 1, len(order), False
    tried: dict[int, Trial] = {}
    guess = max(1, _predicted(order, noise, room(start.fidelity, floor) - MARGIN))
    while low < high and (not found or high - low >= high // CLOSE) and len(tried) < 2 + len(order).bit_length():
        trial = bench.attempt(_without(bench, start.treatment, order[:guess]))
        if trial is not None and trial.drop is None:
            trial = replace(trial, good=room(trial.fidelity, floor) >= MARGIN)
        if trial is not None and trial.good:
            high, found = guess, True
        else:
            low = guess + 1
        if trial is not None:
            tried[guess] = trial
        guess = (low + high) // 2 if found else min(2 * guess, high)
    return list(tried.values())


def _without(bench: Bench, treatment: Treatment, nodes: Sequence[str]) -> Treatment:
    """The same with nodes in float; where layers compute in integers, those that hold many weights are still stored in 8 bits."""
    sizes = {str(n.name): weight_of(n).size for n in weighted_nodes(bench.model)}  # type: ignore[union-attr]
    light, room_left = set(nodes), sum(sizes.values()) * (WHOLE_SHARE if treatment.ways else 1.0)
    for name in sorted(nodes, key=lambda n: sizes.get(n, 0)):
        room_left -= sizes.get(name, 0)
        if room_left < 0:
            light.discard(name)
    smaller = treatment.without(nodes)
    return replace(smaller, whole=treatment.whole | light, name=f"{treatment.name}, {counted(len(nodes), 'layer')} in float")


def _predicted(order: list[str], noise: Mapping[str, float], spare: float) -> int:
    """How many to give back, if noise simply adds. `spare` is negative: the noise that is too much, in dB."""
    total = sum(noise.values()) or 1e-12
    allowed, rest = total * 10 ** (spare / 10), total
    for count, name in enumerate(order):
        if rest <= allowed:
            return count
        rest -= noise[name]
    return len(order)
