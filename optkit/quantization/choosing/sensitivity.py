"""Which nodes cost the most fidelity: each is quantized alone, and the noise at the outputs is what it adds.

Noise of independent sources adds up, so one ranking predicts every subset. Every example counts alike, by each node's share of all the
noise on it: the energy of all examples is that of the few hardest, which may owe it to other nodes than all the others do.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import numpy as np

from optkit.arrays import Array
from optkit.errors import OptkitError
from optkit.progress import Progress
from optkit.quantization.variants.switches import Switched
from optkit.quantization.variants.treatment import Treatment
from optkit.quantization.variants.trial import LARGE, Bench
from optkit.runtimes import Session, open_session

FEEDS, FEWEST_FEEDS = 4, 2
SECONDS = 20.0
"""Of the process's time, from which on each layer is looked at with fewer feeds."""
MOST = 1e12
"""Relative noise of what is not finite."""
LEAST_SHARE = 0.05
"""Of the typical saving: what a layer counts as saving when it saves nothing."""


def noise_by_node(bench: Bench, treatment: Treatment, progress: Progress) -> dict[str, float]:
    """Noise energy at the outputs, relative to what varies there, when only this node, and what follows it up to the next, is quantized,
    by node name.
    """
    switched = _switched(bench, treatment)
    weighted = [n for n in treatment.ways if bench.is_weighted(n)]
    if not treatment.ways:  # weights are only stored
        weighted = switched.layers if switched is not None else []
    found, feeds = dict[str, Array](), FEEDS
    if switched is not None and switched.layers:
        start = time.thread_time()
        _noise(bench, switched, 1)
        feeds = int(np.clip(SECONDS / ((time.thread_time() - start) * len(weighted) + 1e-9), FEWEST_FEEDS, FEEDS))
    for done, name in enumerate(weighted):
        if switched is not None and name in switched.layers:
            switched.on = name
            found[name] = _noise(bench, switched, feeds)
        else:
            path = bench.write(replace(treatment.without(w for w in weighted if w != name), compress=False, ends=True))
            found[name] = _noise(bench, open_session(path, bench.device, bench.workers), feeds)
            path.unlink()
        progress("ranking layers", done + 1, len(weighted))
    return typical_noise(found)


def dearest_first(noise: Mapping[str, float], saved: Mapping[str, float]) -> list[str]:
    """Layers by the noise that they cost for each second that they save (see `gains`), those first that cost most for little."""
    typical = float(np.median([s for s in saved.values() if s > 0] or [1e-6]))
    return sorted(noise, key=lambda name: noise[name] / max(saved.get(name, typical), LEAST_SHARE * typical), reverse=True)


def _switched(bench: Bench, treatment: Treatment) -> Switched | None:
    """Where a second copy of the weights is no burden."""
    if bench.device != "cpu" or bench.size > LARGE:
        return None
    with suppress(OptkitError):
        return Switched(bench.model, treatment, bench.learned, bench.workers)
    return None


def _noise(bench: Bench, session: Session, feeds: int) -> Array:
    """On each of some examples."""
    found = bench.reference.relative_noise_of_each(session, feeds)
    if not found.any():  # where there are only whole numbers, the share of those that differ is known of all examples together
        found = np.full(len(found), 10 ** (-bench.reference.compare(session, feeds).sqnr / 10))
    return np.nan_to_num(found, nan=MOST, posinf=MOST)


def typical_noise(noise: Mapping[str, Array]) -> dict[str, float]:
    """One number for each node of its noise on each example, as if all nodes together made as much noise on every example."""
    if not noise:
        return {}
    each = np.stack(list(noise.values()))
    total = np.maximum(each.sum(axis=0), 1e-30)
    return dict(zip(noise, ((each / total).mean(axis=1) * total.mean()).tolist(), strict=True))
