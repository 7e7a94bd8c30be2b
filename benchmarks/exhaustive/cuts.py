"""Cheapest cuts between float and integers, by profiles that are trusted more or less."""

from collections.abc import Iterator
from dataclasses import replace
from math import inf

from optkit.quantization.choosing.without_slow import without_slow
from optkit.quantization.variants.node_times import Profile, profile_nodes
from optkit.quantization.variants.treatment import Treatment
from optkit.quantization.variants.trial import Bench

INTEGERS = (0.6, 0.8, 0.9, 1.0, 1.1, 1.25, 1.6)
"""Times as long as their profile says that nodes in integers may take."""
CONVERTING = (0.0, 0.5, 1.0, 2.0)
"""The same of conversions."""
ROUNDS = 3
"""A variant without slow nodes is profiled in turn, this many times at most."""


def cheapest_cuts(bench: Bench, start: Treatment) -> Iterator[Treatment]:
    """Every set of nodes that is the cheapest if profiles are off by these factors, each once."""
    before = profile_nodes(bench.as_float(), bench.profiled, bench.threads, bench.device)
    seen, current = set[frozenset[str]](), start
    for _ in range(ROUNDS):
        trial = bench.attempt(current)
        if trial is None:
            return
        after = profile_nodes(trial.path, bench.profiled, bench.threads, bench.device)
        trial.path.unlink()
        further = None
        for integers in INTEGERS:
            for converting in CONVERTING:
                told = _scaled(after, integers, converting)
                made, _ = without_slow(bench.model, trial.treatment, before, told, worth=-inf)
                if made is None:
                    continue
                further = made if (integers, converting) == (1.0, 1.0) else further
                if (nodes := frozenset(made.ways)) not in seen:
                    seen.add(nodes)
                    yield replace(made, name=f"{start.name}, cut {len(seen)}")
        if further is None:
            return
        current = further


def _scaled(after: Profile, integers: float, converting: float) -> Profile:
    factors = {n: converting if op == "QuantizeLinear" else integers for n, op in after.operators.items()}
    return replace(after, seconds={n: seconds * factors.get(n, integers) for n, seconds in after.seconds.items()})
