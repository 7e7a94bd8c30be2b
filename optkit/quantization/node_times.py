"""How long each node of the float graph takes, from ONNX Runtime's own profile."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optkit.runtimes.onnxruntime import open_onnx

Array = np.ndarray[Any, np.dtype[Any]]

SUFFIX = "_kernel_time"
RUNS = 9


def node_times(model: Path, feeds: Sequence[Mapping[str, Array]], threads: int, device: str) -> dict[str, float]:
    """Median seconds by node name as the runtime calls it; fused nodes keep the name of one of their parts, with a suffix."""
    with tempfile.TemporaryDirectory() as folder:
        session = open_onnx(model, device, threads, profile=Path(folder) / "profile")
        for i in range(RUNS):
            session.run(feeds[i % len(feeds)])
        events = json.loads(session.end_profile().read_text())
    runs: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith(SUFFIX):
            runs[event["name"].removesuffix(SUFFIX)].append(event["dur"] * 1e-6)
    return {name: float(np.median(each)) for name, each in runs.items()}


def time_of(name: str, times: Mapping[str, float]) -> float | None:
    """Seconds of one node, however the runtime renamed it; None when it is not found."""
    return max((t for n, t in times.items() if n == name or n.startswith((f"{name}_", f"{name}/"))), default=None)


def gains(names: Sequence[str], before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Seconds that each node saves in `after`; negative where it became slower. Nodes that cannot be told apart are left out."""
    found = {}
    for name in names:
        old, new = time_of(name, before), time_of(name, after)
        if old is not None and new is not None:
            found[name] = old - new
    return found
