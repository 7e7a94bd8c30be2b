"""A model on disk, and how it came to be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Made:
    """One step of a lineage: which pass made an artifact, from what, with what."""

    by: str
    parameters: Mapping[str, Any]
    source: str
    """Digest of the artifact it read."""
    data: str | None
    """Digest of the examples it drew, if any."""
    versions: Mapping[str, str]
    seed: int
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What the pass had to say of its work: choices, counts, warnings."""


@dataclass(frozen=True)
class Artifact:
    """A model file with its format (`onnx`, `torch`), content digest (sha256, external data included) and lineage, oldest first."""

    path: Path
    format: str
    digest: str
    lineage: tuple[Made, ...] = ()
