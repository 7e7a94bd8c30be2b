"""Hill climbing: single nodes go to float, into integers, or into integers in another way, as long as that makes the model faster."""

import time
from collections.abc import Iterator
from dataclasses import replace

from exhaustive.ground import Configuration, Ground, written

from optkit.errors import OptkitError
from optkit.quantization.integer_graph.insert_dynamic import can_be_dynamic
from optkit.quantization.variants.race import race
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.runtimes import open_session

RACE = 1.0
"""Seconds for each node."""
STAGE = "single nodes"


def climb(ground: Ground, start: Configuration, seconds: float) -> None:
    """Try every node of the widest treatment once, those in the order of the graph, and keep what is shown to be faster and faithful."""
    end = time.monotonic() + seconds
    bench, whole = ground.bench_of(start), _widest(ground, start)
    best, path = start, ground.files[start.name]
    kept = 0
    for name, way in _switches(ground, start, whole):
        if time.monotonic() > end:
            break
        ways = dict(best.treatment.ways)
        if way == ways.get(name):
            continue
        if way is None:
            del ways[name]
        else:
            ways[name] = way
        trial = replace(best, treatment=replace(best.treatment, name=f"{start.treatment.name}, climbed {kept + 1}", ways=ways))
        try:
            made = written(bench, trial)
            fidelity = bench.reference.compare(open_session(made))
        except (OptkitError, RuntimeError, ValueError, KeyError):  # a set of nodes that cannot be had
            continue
        faithful = fidelity.finite and fidelity.varies and ground.room(fidelity) >= 0
        if faithful and race([path, made], bench.raced, seconds=RACE, threads=1, device="cpu", seed=0)[1].high < 1:
            best, path, kept = trial, made, kept + 1
        else:
            made.unlink()
    if kept:
        ground.explore([best], STAGE)


def _switches(ground: Ground, start: Configuration, whole: Treatment) -> Iterator[tuple[str, Way | None]]:
    """What may become of each node; None is float."""
    layers = {str(n.name): n for n in ground.bench_of(start).layers(whole.ways)}
    for name, way in whole.ways.items():
        products = (Way.DYNAMIC, Way.STATIC, Way.STATIC_FLOAT_OUT) if name in layers and can_be_dynamic(layers[name]) else ()
        for other in dict.fromkeys((None if name in start.treatment.ways else way, *products)):
            yield name, other


def _widest(ground: Ground, start: Configuration) -> Treatment:
    """The tried treatment with most nodes that starts as this one does: what was left out of it may come back."""
    family = start.treatment.name.split(", without")[0].split(", layers")[0].split(", cut")[0]
    tried = [c.treatment for c in ground.configurations.values() if c.graph == start.graph and c.treatment.name.startswith(family)]
    return max([start.treatment, *tried], key=lambda t: len(t.ways))
