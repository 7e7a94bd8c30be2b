"""What calibration examples must offer, and what to say where they do not."""

from collections.abc import Mapping, Sequence

from optkit.quantization.histogram import Histogram
from optkit.units import counted

ENOUGH = 32
"""Examples: with fewer, a range often misses what the next examples reach."""
NAMED = 3


def range_remarks(examples: int) -> list[str]:
    """A sentence for the user of a model with calibrated ranges on too few examples."""
    if examples >= ENOUGH:
        return []
    return [f"ranges rest on {counted(examples, 'example')}: give {ENOUGH} or more, or values they do not show are cut off"]


def calibration_remarks(histograms: Mapping[str, Histogram]) -> list[str]:
    """Sentences for the user on tensors that never varied."""
    remarks = []
    unseen = [name for name, seen in histograms.items() if not seen.total]
    dead = [name for name, seen in histograms.items() if seen.total and seen.low == seen.high == 0]
    still = [name for name, seen in histograms.items() if seen.total and seen.low == seen.high != 0]
    if unseen:
        what = f"{counted(len(unseen), 'tensor')} ({_some(unseen)})"
        remarks.append(f"not reached by these examples: {what}; their layers were not judged, and get no static INT8")
    if dead:
        remarks.append(f"always zero on these examples: {counted(len(dead), 'tensor')} ({_some(dead)}); {_ADVICE}")
    if still:
        remarks.append(f"the same value throughout these examples: {counted(len(still), 'tensor')} ({_some(still)}); {_ADVICE}")
    return remarks


_ADVICE = "parts of the model that do nothing, or that the examples do not reach; check that they are typical"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
