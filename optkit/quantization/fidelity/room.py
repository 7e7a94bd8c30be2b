"""How much more noise a variant could bear before it loses too much, in dB; below zero it loses too much.

The rules, without labels. Answers (classes of a classifier, characters of a reader): those that change must not cost more than 1 % by
the float model's own confidence. High scores of a detector must agree to 90 %. All other numbers (features, boxes, states, and logits,
which cannot be told from features) must keep 20 dB of what varies.

Held against labels (points of score lost, standard error about 0.7), eleven variants of a reader cost 0.2 to 1.4 % (0.6 on average) and
lost -0.75 to 1.25 (0.2 on average), one at 3.2 % lost 3.75; of classifiers only the answers that changed were counted, and those that kept
99 of 100 lost at most 0.6. dB alone do not tell: a text classifier keeps its score at 18.5 dB, the reader loses 1.3 points at 22.6 dB.
A detector's finds agreed with the float model's to within 0.05 of F1 of what its high scores did, from 0.77 to 0.99. The 20 dB of
features are a guess: no model whose answer is an embedding was held against labels.
"""

from math import inf, log10

from optkit.quantization.fidelity.reference import Fidelity
from optkit.units import show_percent

MOST_COST = 0.01
LEAST_AGREEMENT = 0.9
FLOOR = 20.0
"""dB, of numbers that are judged by noise alone."""
LEAST = 10.0
"""dB of anything: with less the answers that were seen say nothing of others."""


def room(fidelity: Fidelity, floor: float | None = None) -> float:
    """dB to spare until the first rule is broken; a `floor` in dB of all outputs replaces the rules."""
    return min(_rooms(fidelity, floor).values())


def shortfall(fidelity: Fidelity, floor: float | None = None) -> str:
    """What the rule says that is broken most, or comes nearest to it, as a clause."""
    rooms = _rooms(fidelity, floor)
    return min(rooms, key=lambda clause: rooms[clause])


def _rooms(fidelity: Fidelity, floor: float | None) -> dict[str, float]:
    """What each rule says, and the room that it leaves."""
    if floor is not None:
        return {_noise(fidelity.sqnr, floor): fidelity.sqnr - floor}
    rooms = {_noise(fidelity.sqnr, LEAST): fidelity.sqnr - LEAST}
    if fidelity.numbers is not None:
        rooms[_noise(fidelity.numbers, FLOOR)] = fidelity.numbers - FLOOR
    if fidelity.cost is not None:
        clause = (
            f"answers that change cost {show_percent(fidelity.cost)} by the model's own confidence, {show_percent(MOST_COST)} is allowed"
        )
        rooms[clause] = _decibels(MOST_COST, fidelity.cost)
    if fidelity.high_scores is not None:
        clause = f"{show_percent(fidelity.high_scores)} of high scores agree, {show_percent(LEAST_AGREEMENT)} are asked for"
        rooms[clause] = 2 * _decibels(1 - LEAST_AGREEMENT, 1 - fidelity.high_scores)
    return rooms


def _noise(sqnr: float, floor: float) -> str:
    return f"it keeps {sqnr:.1f} dB, {floor:.0f} are asked for"


def _decibels(allowed: float, found: float) -> float:
    """Cost grows as the energy of noise does, for noise that is small beside the margins."""
    return 10 * log10(allowed / found) if found > 0 else inf
