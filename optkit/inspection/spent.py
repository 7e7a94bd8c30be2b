"""How long operators of a file take, by a profile of the nodes that the runtime makes of them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from optkit.inspection import Profile
from optkit.inspection.fused import Fused, kind_of
from optkit.inspection.predict import roof_seconds
from optkit.inspection.under_roof import Cost


@dataclass(frozen=True)
class Spent:
    """The time of one operator."""

    seconds: float
    """While it is recorded."""
    run_as: str | None
    """The node of the profile that computes it; None where that cannot be told."""
    estimated: bool
    """The node computes others too, or cannot be told: a share of a time that was measured."""


def time_spent(costs: Sequence[tuple[str, Cost]], profile: Profile, nodes: Sequence[Fused], peak: float, bandwidth: float) -> list[Spent]:
    """The time of each operator, that goes by the first tensor it gives.

    What one node computes alone takes that node's time; what it computes with others, such as the products of an attention, a share of
    it in proportion to their roofs. What no node is known for shares what is left of the time of its kind likewise, so that none is lost.
    """
    times = {(node.node, node.operator): node.seconds for node in profile.slowest}
    often = Counter(tensor for tensor, _ in costs)
    places = {tensor: place for place, (tensor, _) in enumerate(costs) if often[tensor] == 1}
    roofs = [roof_seconds(cost.macs, cost.moved + cost.weights, peak, bandwidth) for _, cost in costs]
    found: dict[int, Spent] = {}
    told: dict[str, float] = defaultdict(float)
    for node in nodes:
        seconds, computed = times.get((node.name, node.operator)), [places[each] for each in node.computes if each in places]
        if seconds is not None and computed:
            told[kind_of(node.operator)] += seconds
            found |= {place: Spent(part, node.name, len(computed) > 1) for place, part in _shares(computed, seconds, roofs)}
    for kind in dict.fromkeys(kind_of(cost.operator) for _, cost in costs):
        left = sum(row.seconds for row in profile.operators if kind_of(row.operator) == kind) - told[kind]
        unknown = [place for place, (_, cost) in enumerate(costs) if kind_of(cost.operator) == kind and place not in found]
        found |= {place: Spent(part, None, True) for place, part in _shares(unknown, max(0.0, left), roofs)}
    return [found[place] for place in range(len(costs))]


def _shares(places: Sequence[int], seconds: float, roofs: Sequence[float]) -> Iterator[tuple[int, float]]:
    whole = sum(roofs[place] for place in places)
    for place in places:
        yield place, seconds * roofs[place] / whole
