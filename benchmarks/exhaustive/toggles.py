"""Hill climbing: single nodes go back to float, or into integers again, as long as that makes the model faster."""

import time
from dataclasses import replace

from exhaustive.ground import Configuration, Ground, written

from optkit.errors import OptkitError
from optkit.quantization.variants.race import race
from optkit.quantization.variants.treatment import Treatment
from optkit.runtimes import open_session

RACE = 1.5
"""Seconds for each node."""
STAGE = "single nodes"


def climb(ground: Ground, start: Configuration, floor: float, seconds: float) -> None:
    """Try every node of the widest treatment once, dearest in time first, and keep what is shown to be faster and still faithful."""
    end = time.monotonic() + seconds
    whole = _widest(ground, start)
    best, path = start, ground.files[start.name]
    kept = 0
    for name in whole.ways:
        if time.monotonic() > end:
            break
        ways = dict(best.treatment.ways)
        if name in ways:
            del ways[name]
        else:
            ways[name] = whole.ways[name]
        trial = replace(best, treatment=replace(best.treatment, name=f"{start.treatment.name}, climbed {kept + 1}", ways=ways))
        try:
            made = written(ground.bench, trial)
            fidelity = ground.bench.reference.compare(open_session(made))
        except (OptkitError, RuntimeError, ValueError, KeyError):  # a set of nodes that cannot be had
            continue
        if not fidelity.finite or fidelity.sqnr < floor:
            made.unlink()
            continue
        ratio = race([path, made], ground.bench.raced, seconds=RACE, threads=1, device="cpu", seed=0)[1]
        if ratio.high < 1:
            best, path, kept = trial, made, kept + 1
        else:
            made.unlink()
    if kept:
        ground.explore([best], STAGE)


def _widest(ground: Ground, start: Configuration) -> Treatment:
    """The tried treatment with most nodes that starts as this one does: what was left out of it may come back."""
    family = start.treatment.name.split(", without")[0].split(", layers")[0]
    tried = [c.treatment for c in ground.configurations.values() if c.treatment.name.startswith(family)]
    return max([start.treatment, *tried], key=lambda t: len(t.ways))
