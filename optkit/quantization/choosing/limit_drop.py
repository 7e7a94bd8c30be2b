"""The fastest variant that keeps the score: few full evaluations, guided by time and by which layers add the most noise.

The fastest variant is evaluated first. If it loses too much, its layers are ranked once, without labels, by the noise that each adds
at the outputs and the time it saves, and how many of them have to go back to float is bisected with full evaluations. One more goes
to the most faithful of the other variants that are faster than what was found, or, where nothing was found, of all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, log2

from optkit.errors import NothingPaid
from optkit.progress import Progress
from optkit.quantization.choosing.decide import FASTER, time_ratio
from optkit.quantization.choosing.sensitivity import dearest_first, noise_by_node
from optkit.quantization.graphs import all_graphs
from optkit.quantization.variants.node_times import gains, profile_nodes
from optkit.quantization.variants.treatment import Treatment
from optkit.quantization.variants.trial import Bench, Trial
from optkit.quantization.variants.wishes import Wishes
from optkit.units import counted, show_percent

NAMED = 3
Judge = Callable[[Trial], Trial]


@dataclass(frozen=True)
class Search:
    """What was found out."""

    trials: tuple[Trial, ...]
    """All variants; `drop` is known of those that were evaluated in full, and only those of them that keep the score are good."""
    noise: dict[str, float]
    """Share of each layer in the noise of the fastest variant, the largest first; empty where it was not needed."""


def search_within(bench: Bench, trials: Sequence[Trial], evaluate: Judge, seconds: float, progress: Progress) -> Search:
    """Find the fastest of `trials` and of its variants with fewer integer layers that `evaluate` finds good.

    `evaluate` runs all labelled examples: it is called at most 2 + log2(layers) times (rounded up).
    """
    pool = {t.path: replace(t, good=False) for t in trials}
    timed = [t for t in pool.values() if t.ratio is not None and t.size < bench.size]
    if not timed:
        return Search(tuple(pool.values()), {})
    fastest = min(timed, key=time_ratio)
    first = evaluate(fastest)
    pool[first.path] = first
    layers = [n for n in first.treatment.ways if bench.is_weighted(n)]
    if first.good:
        return Search(tuple(pool.values()), {})
    noise = noise_by_node(bench, first.treatment, progress) if layers and time_ratio(first) < FASTER else {}
    found = _bisect(bench, first, _order(bench, first, noise), evaluate)
    found = bench.time(found, seconds) if found else []
    pool |= {t.path: t for t in found}
    good = [t for t in found if t.good]
    rest = [t for t in timed if t.path != first.path and t.fidelity.sqnr > first.fidelity.sqnr]
    if good:
        rest = [t for t in rest if time_ratio(t) < min(map(time_ratio, good))]
    if rest:
        last = evaluate(max(rest, key=lambda t: t.fidelity.sqnr))
        pool[last.path] = last
    total = sum(noise.values()) or 1.0
    shares = {name: value / total for name, value in sorted(noise.items(), key=lambda item: -item[1])}
    return Search(tuple(pool.values()), shares)


def best_effort(search: Search, bench: Bench, wishes: Wishes) -> tuple[NothingPaid, Trial] | None:
    """Where no variant keeps the score: what to say, and the one that loses least; None where the score is not what stands in the way."""
    scored = [t for t in search.trials if t.drop is not None and t.size < bench.size]
    if not scored or any(t.good for t in scored) or wishes.max_drop is None:
        return None
    best = min(scored, key=lambda t: (t.drop, time_ratio(t)))
    what = (
        f"INT8 loses too much here: the best variant ({best.treatment.name}) loses {show_percent(best.drop or 0)} of the original's score, "
        f"{show_percent(wishes.max_drop)} is allowed{_blame(search.noise, bench)}"
    )
    tries = [
        *([] if wishes.effort == "high" else ["try --effort high"]),
        "give more calibration examples",
        *(["leave them out with --exclude"] if search.noise else []),
        "or allow more with --max-drop",
    ]
    return NothingPaid(what, hint=", ".join(tries)), best


def _blame(noise: Mapping[str, float], bench: Bench) -> str:
    """`; most of the noise comes from head (Gemm, 41%), …`"""
    if not noise:
        return ""
    operators = {str(n.name): n.op_type for g in all_graphs(bench.model) for n in g}
    named = ", ".join(f"{name} ({operators.get(name, '?')}, {share:.0%})" for name, share in list(noise.items())[:NAMED])
    return f"; the noise comes from {named}{' and others' if len(noise) > NAMED else ''}"


def _order(bench: Bench, trial: Trial, noise: dict[str, float]) -> list[str]:
    """Layers that go back to float first: much noise, little time saved."""
    if not noise:
        return []
    before, after = (profile_nodes(path, bench.profiled, bench.threads, bench.device) for path in (bench.as_float(), trial.path))
    return dearest_first(noise, gains(bench.layers(noise), before, after))


def _bisect(bench: Bench, start: Trial, order: Sequence[str], evaluate: Judge) -> list[Trial]:
    """Variants with 1 to all but one of the layers in float, each evaluated: the fewest that are enough, and what was tried before."""
    low, high = 1, len(order)
    tried: list[Trial] = []
    for _ in range(ceil(log2(len(order))) if order else 0):
        if low >= high:
            break
        count = (low + high) // 2
        trial = bench.attempt(_without(start.treatment, order[:count]))
        trial = evaluate(trial) if trial is not None else None
        tried += [trial] if trial is not None else []
        if trial is not None and trial.good:
            high = count
        else:
            low = count + 1
    return tried


def _without(treatment: Treatment, names: Sequence[str]) -> Treatment:
    return replace(treatment.without(names), name=f"{treatment.name}, {counted(len(names), 'layer')} in float")
