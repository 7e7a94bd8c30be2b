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
RUNS = 5


def node_times(model: Path, feeds: Sequence[Mapping[str, Array]], threads: int, device: str) -> dict[str, float]:
    """Seconds per run by node name as the runtime calls it; fused nodes keep the name of one of their parts, with a suffix."""
    with tempfile.TemporaryDirectory() as folder:
        session = open_onnx(model, device, threads, profile=Path(folder) / "profile")
        for i in range(RUNS):
            session.run(feeds[i % len(feeds)])
        events = json.loads(session.end_profile().read_text())
    total: dict[str, float] = defaultdict(float)
    for event in events:
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith(SUFFIX):
            total[event["name"].removesuffix(SUFFIX)] += event["dur"] * 1e-6 / RUNS
    return dict(total)


def time_of(name: str, times: Mapping[str, float]) -> float:
    """Seconds of one node, however the runtime renamed it; the smallest of all when it is not found."""
    found = [t for n, t in times.items() if n == name or n.startswith((f"{name}_", f"{name}/"))]
    return max(found, default=min(times.values(), default=1e-6))
