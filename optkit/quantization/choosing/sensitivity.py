"""Which nodes cost the most fidelity: each is quantized alone, and the noise at the outputs is what it adds.

Noise of independent sources adds up, so one ranking predicts every subset.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import numpy as np

from optkit.errors import OptkitError
from optkit.progress import Progress
from optkit.quantization.variants.switches import Switched
from optkit.quantization.variants.treatment import Treatment
from optkit.quantization.variants.trial import LARGE, Bench
from optkit.runtimes import Session, open_session

FEEDS, FEWEST_FEEDS = 4, 2
SECONDS = 20.0
"""Of the process's time, from which on each layer is looked at with fewer feeds."""
LEAST_SHARE = 0.05
"""Of the typical saving: what a layer counts as saving when it saves nothing."""


def noise_by_node(bench: Bench, treatment: Treatment, progress: Progress) -> dict[str, float]:
    """Relative noise energy at the outputs when only this node, and what follows it up to the next, is quantized, by node name."""
    switched = _switched(bench, treatment)
    weighted = [n for n in treatment.ways if bench.is_weighted(n)]
    if not treatment.ways:  # weights are only stored
        weighted = switched.layers if switched is not None else []
    found, feeds = {}, FEEDS
    if switched is not None and switched.layers:
        start = time.process_time()
        _noise(bench, switched, 1)
        feeds = int(np.clip(SECONDS / ((time.process_time() - start) * len(weighted) + 1e-9), FEWEST_FEEDS, FEEDS))
    for done, name in enumerate(weighted):
        if switched is not None and name in switched.layers:
            switched.on = name
            found[name] = _noise(bench, switched, feeds)
        else:
            path = bench.write(replace(treatment.without(w for w in weighted if w != name), compress=False, ends=True))
            found[name] = _noise(bench, open_session(path, bench.device, bench.threads), feeds)
            path.unlink()
        progress("ranking layers", done + 1, len(weighted))
    return found


def dearest_first(noise: Mapping[str, float], saved: Mapping[str, float]) -> list[str]:
    """Layers by the noise that they cost for each second that they save (see `gains`), those first that cost most for little."""
    typical = float(np.median([s for s in saved.values() if s > 0] or [1e-6]))
    return sorted(noise, key=lambda name: noise[name] / max(saved.get(name, typical), LEAST_SHARE * typical), reverse=True)


def _switched(bench: Bench, treatment: Treatment) -> Switched | None:
    """Where a second copy of the weights is no burden."""
    if treatment.smooth or bench.device != "cpu" or bench.size > LARGE:
        return None
    with suppress(OptkitError):
        return Switched(bench.model, treatment, bench.learned, bench.threads)
    return None


def _noise(bench: Bench, session: Session, feeds: int) -> float:
    fidelity = bench.reference.compare(session, feeds)
    return float(10 ** (-fidelity.sqnr / 10)) if np.isfinite(fidelity.sqnr) else np.inf
