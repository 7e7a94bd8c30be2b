"""Run models side by side on each device: interleaved, on the same examples, raw values kept."""

from collections.abc import Mapping
from dataclasses import dataclass

from optkit.artifact import Artifact
from optkit.samples import Samples


@dataclass(frozen=True)
class Machine:
    """Where a measurement was made: speeds are comparable only on equal machines."""

    system: str
    processor: str
    cores: int
    features: tuple[str, ...]
    """Instruction sets that decide INT8 speed: avx2, avx512_vnni, avx_vnni, amx_int8, neon_dotprod, …"""
    versions: Mapping[str, str]
    """python, optkit, onnxruntime, numpy, …"""


@dataclass(frozen=True)
class Measurement:
    """Everything read off one model on one device at one batch size."""

    model: Artifact
    name: str
    """What tables call it: the shortest part of the path that tells the models apart."""
    device: str
    batch: int
    threads: int
    machine: Machine
    samples: tuple[Samples, ...]
    nodes: Mapping[str, int]
    """Nodes per execution provider; those that fell back to another provider show here."""
