"""Give the nodes that cost the most fidelity back to float until a variant is faithful enough, at the least cost in time."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from optkit.quantization.sensitivity import noise_by_node
from optkit.quantization.treatment import Treatment
from optkit.quantization.trial import Bench, Trial

Progress = Callable[[str, int, int], None]


def refine(bench: Bench, start: Trial, floor: float, seconds_by_node: Callable[[str], float], progress: Progress) -> list[Trial]:
    """Variants of `start` with ever more nodes in float, ending with the first that reaches `floor` dB; at most 2 + log2(nodes) of them."""
    noise = noise_by_node(bench, start.treatment, progress)
    order = sorted(noise, key=lambda name: noise[name] / max(seconds_by_node(name), 1e-7), reverse=True)
    low, high = 0, len(order)
    tried: dict[int, Trial] = {}
    guess = _predicted(order, noise, floor, start)
    while low < high and len(tried) < 2 + len(order).bit_length():
        trial = bench.attempt(_without(start.treatment, order[:guess], guess))
        if trial is not None and trial.fidelity.sqnr >= floor:
            high = guess
        else:
            low = guess + 1
        if trial is not None:
            tried[guess] = trial
        guess = (low + high) // 2
    return list(tried.values())


def _without(treatment: Treatment, nodes: list[str], count: int) -> Treatment:
    smaller = treatment.without(nodes)
    return replace(smaller, name=f"{treatment.name}, {count} layers in float")


def _predicted(order: list[str], noise: Mapping[str, float], floor: float, start: Trial) -> int:
    """How many to give back, if noise simply adds; scaled so that the sum agrees with the variant that has them all."""
    total = sum(noise.values()) or 1e-12
    scale = 10 ** (-start.fidelity.sqnr / 10) / total
    allowed, rest = 10 ** (-floor / 10), total
    for count, name in enumerate(order):
        if rest * scale <= allowed:
            return count
        rest -= noise[name]
    return len(order)
