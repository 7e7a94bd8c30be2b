"""What runs where: nodes and time of each execution provider, operators left to the CPU, copies between devices."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optkit.datasets import Examples
    from optkit.inspection import Profile

COPIES = ("MemcpyToHost", "MemcpyFromHost")
"""What ONNX Runtime puts between nodes whose providers keep tensors in different memory."""
CPU = "CPU"
SECONDS = 1.0
"""To run for, at most: counts are exact, and shares of time need no more."""


@dataclass(frozen=True)
class ProviderUse:
    """What one execution provider does in one inference."""

    provider: str
    """`CPU`, `CUDA`, `OpenVINO`, …"""
    nodes: int
    """Of the model, as they were assigned, before a provider fuses them."""
    kernels: int
    """Started in one inference."""
    seconds: float
    """In its kernels in one inference, copies left out. The runtime's own record: of providers that compute while the CPU goes on (a GPU),
    the time to start the work."""


@dataclass(frozen=True)
class ProviderAudit:
    """Where one model's nodes run on a device that is not the CPU."""

    model: str
    device: str
    uses: tuple[ProviderUse, ...]
    """Most nodes first."""
    fallen_back: Mapping[str, int]
    """Operators that ran on the CPU, as the runtime fused them, and how often in one inference; most first."""
    to_device: int
    """Copies from main memory to the device in one inference, between nodes; those of inputs and outputs are not among them."""
    to_host: int
    copy_seconds: float


def audit(path: Path, name: str, nodes: Mapping[str, int], examples: "Examples", device: str, threads: int) -> ProviderAudit:
    """Run the model for a second on `device` and read the runtime's record; `nodes` are those per provider. Raises as opening does."""
    from optkit.inspection.profile import profile_model

    return audit_of(profile_model(path, examples, device, threads, SECONDS), name, nodes)


def audit_of(profile: "Profile", name: str, nodes: Mapping[str, int]) -> ProviderAudit:
    """The audit out of a profile of the model on that device."""
    assigned = {provider.removesuffix("ExecutionProvider"): count for provider, count in nodes.items()}
    kernels: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)
    fallen: Counter[str] = Counter()
    copies: Counter[str] = Counter()
    copying = 0.0
    for row in profile.operators:
        if row.operator in COPIES:
            copies[row.operator] += row.calls
            copying += row.seconds
            continue
        kernels[row.provider] += row.calls
        seconds[row.provider] += row.seconds
        if row.provider == CPU:
            fallen[row.operator] += row.calls
    uses = [ProviderUse(each, assigned.get(each, 0), kernels[each], seconds[each]) for each in {**assigned, **kernels}]
    return ProviderAudit(
        model=name,
        device=profile.device,
        uses=tuple(sorted(uses, key=lambda use: (-use.nodes, -use.kernels, use.provider))),
        fallen_back=dict(sorted(fallen.items(), key=lambda item: (-item[1], item[0]))),
        to_device=copies["MemcpyFromHost"],
        to_host=copies["MemcpyToHost"],
        copy_seconds=copying,
    )
