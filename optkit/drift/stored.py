"""What a model's manifest says of its calibration."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optkit.quantization.calibration.note import NOTE


@dataclass(frozen=True)
class Then:
    """What was seen of one tensor at calibration."""

    low: float
    high: float
    clipped: float
    loss: float


@dataclass(frozen=True)
class Stored:
    """Statistics of the examples that a model was calibrated on."""

    examples: int
    tensors: dict[str, Then]


def stored_statistics(model: Path) -> Stored | None:
    """The statistics of the last step that calibrated; None where there are none, as in models of other tools."""
    from optkit.manifest import read_manifest

    manifest: dict[str, Any] = read_manifest(model) or {}
    for step in reversed(manifest.get("steps", ())):
        if found := step.get("notes", {}).get(NOTE):
            with suppress(KeyError, TypeError, ValueError):  # of a later optkit, perhaps
                return Stored(int(found["examples"]), {name: Then(*map(float, row)) for name, row in found["tensors"].items()})
    return None
