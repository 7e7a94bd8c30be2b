"""What is wrong between calibration and evaluation examples: some are both, or they were prepared in different ways."""

import hashlib
from collections.abc import Iterator

import numpy as np

from optkit.datasets import Array, Examples

WIDER = 2.0
"""Times as wide, or as narrow, as the other: more than chance does."""
MOST_VALUES = 1_000_000
"""Of an input that are looked at."""


def data_doubts(calibration: Examples, evaluation: Examples) -> list[str]:
    """Sentences for the user, with what to do; none where all is well."""
    doubts = list(_other_ranges(calibration, evaluation))
    shared = shared_examples(calibration, evaluation)
    if shared:
        doubts.append(
            f"{shared:,} of {len(evaluation):,} evaluation examples are calibration examples too: "
            "on new ones it may do worse; keep the two apart"
        )
    return doubts


def shared_examples(calibration: Examples, evaluation: Examples) -> int:
    """How many evaluation examples have exactly the inputs of a calibration example."""
    known = set(_fingerprints(calibration))
    return sum(each in known for each in _fingerprints(evaluation))


def _fingerprints(examples: Examples) -> Iterator[bytes]:
    for feed in examples.feeds(1):
        total = hashlib.blake2b(digest_size=16)
        for name in sorted(feed):
            array = feed[name].astype(str) if feed[name].dtype.kind == "O" else feed[name]  # the bytes of objects are addresses
            total.update(f"{name}{array.dtype.str}{array.shape}".encode())
            total.update(np.ascontiguousarray(array).tobytes())
        yield total.digest()


def _other_ranges(calibration: Examples, evaluation: Examples) -> Iterator[str]:
    for name in calibration.arrays.keys() & evaluation.arrays.keys():
        one, other = calibration.arrays[name], evaluation.arrays[name]
        if one.dtype.kind != "f" or not one.size or not other.size:
            continue
        known, met = _bulk(one), _bulk(other)
        width, apart = max(known[1] - known[0], met[1] - met[0]), max(abs(known[0] - met[0]), abs(known[1] - met[1]))
        narrow = min(known[1] - known[0], met[1] - met[0])
        if width > WIDER * narrow or apart > width / 2:
            yield (
                f"{name} lies in {known[0]:.3g} to {known[1]:.3g} when calibrating, in {met[0]:.3g} to {met[1]:.3g} when evaluating: "
                "prepare both alike, or what lies outside is cut off"
            )


def _bulk(values: Array) -> tuple[float, float]:
    """Where all but the outermost 2 % of the values lie."""
    flat = values.reshape(-1)
    low, high = np.nanpercentile(flat[:: max(1, flat.size // MOST_VALUES)].astype(np.float64), [1, 99])
    return float(low), float(high)
