"""Which nodes cost the most fidelity: each is quantized alone, and the noise at the outputs is what it adds.

Noise of independent sources adds up, so one ranking predicts every subset.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from optkit.quantization.treatment import Treatment
from optkit.quantization.trial import Bench
from optkit.runtimes import open_session

Progress = Callable[[str, int, int], None]

FEEDS = 4


def noise_by_node(bench: Bench, treatment: Treatment, progress: Progress) -> dict[str, float]:
    """Relative noise energy at the outputs when only this node, and what follows it up to the next, is quantized, by node name."""
    weighted = [n for n in treatment.ways if bench.is_weighted(n)]
    found = {}
    for done, name in enumerate(weighted):
        alone = replace(treatment.without(w for w in weighted if w != name), compress=False, ends=True)
        path = bench.write(alone)
        fidelity = bench.reference.compare(open_session(path, bench.device, bench.threads), FEEDS)
        found[name] = float(10 ** (-fidelity.sqnr / 10)) if np.isfinite(fidelity.sqnr) else np.inf
        path.unlink()
        progress("ranking layers", done + 1, len(weighted))
    return found
