"""Which training examples are learned from, and which are held out to choose the best epoch by."""

import numpy as np

from optkit.datasets import Array, Examples
from optkit.errors import DataError

FEWEST = 8
"""Examples, or groups of them, that something can be learned from; and with as many as `FEWEST_HELD` something can be said of it."""
FEWEST_HELD = 2


def hold_out(examples: Examples, share: float, seed: int) -> tuple[Array, Array]:
    """Numbers of the examples to learn from and of those held out, both in ascending order: drawn by chance, whole groups at a time.

    Nothing is held out where `share` is 0. Raises DataError where there is too little.
    """
    units = np.arange(len(examples)) if examples.groups is None else examples.groups
    known = np.unique(units)
    held = max(FEWEST_HELD, round(len(known) * share)) if share else 0
    if len(known) - held < FEWEST:
        kind = "examples" if examples.groups is None else "groups of examples"
        wanted = FEWEST + max(held, FEWEST_HELD if share else 0)
        what = f"{len(known)} {kind} are too few to train on" + (f" with {held} of them held out" if held else "")
        raise DataError(what, where=examples.source, hint=f"give at least {wanted}, far more to learn anything that lasts")
    chosen = np.random.default_rng([seed, 1]).permutation(known)[:held]
    out = np.isin(units, chosen)
    return np.flatnonzero(~out), np.flatnonzero(out)
