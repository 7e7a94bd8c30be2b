"""Nodes that run on the CPU although another device was asked for: counted, so exact."""

from collections.abc import Iterable
from math import nan
from typing import TYPE_CHECKING

from optkit.compare import Delta, Says
from optkit.samples import FALL_BACKS

if TYPE_CHECKING:
    from optkit.measure import Measurement

CPU = "CPUExecutionProvider"


def is_cpu(device: str) -> bool:
    """Whether this word asks for the CPU, by any of its names."""
    return device.lower().removesuffix("executionprovider") == "cpu"


def fall_backs(measured: "Measurement") -> int | None:
    """Nodes on the CPU; None where that is the device asked for, or where nobody counted."""
    return None if is_cpu(measured.device) or not measured.nodes else measured.nodes.get(CPU, 0)


def fall_back_delta(before: "Measurement", after: "Measurement") -> Delta | None:
    """The difference; a gain relative to no node is NaN."""
    first, second = fall_backs(before), fall_backs(after)
    if first is None or second is None:
        return None
    gain = 0.0 if first == second else 1 - second / first if first else nan
    says: Says = "same" if first == second else "better" if second < first else "worse"
    return Delta(FALL_BACKS, after.device, after.batch, "", "lower", float(first), float(second), gain, gain, gain, says, "exact", 1)


def once_on_each_device(deltas: Iterable[Delta]) -> tuple[Delta, ...]:
    """Fall-backs do not depend on the batch size: only the first on each device is kept."""
    seen: set[str] = set()
    kept = []
    for delta in deltas:
        if delta.metric == FALL_BACKS:
            if delta.device in seen:
                continue
            seen.add(delta.device)
        kept.append(delta)
    return tuple(kept)
