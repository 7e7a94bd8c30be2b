"""How long each node of the float graph takes, from ONNX Runtime's own profile."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from optkit.arrays import Array
from optkit.runtimes.onnxruntime import open_onnx

SUFFIX = "_kernel_time"
END_OF_RUN = "model_run"
INTEGERS = "_int32"
"""What insert_dynamic appends to the name of what a product writes."""
RUNS = 9
FEWEST_RUNS = 3
"""Of one feed."""


def node_times(model: Path, feeds: Sequence[Mapping[str, Array]], threads: int, device: str) -> dict[str, float]:
    """Seconds by node name as the runtime calls it, the mean over the feeds; fused nodes keep the name of one of their parts, with a
    suffix. What a node takes for one feed is the median of several runs; a node in a branch that a feed does not take, takes none.
    """
    runs = max(RUNS // len(feeds), FEWEST_RUNS)
    with tempfile.TemporaryDirectory() as folder:
        session = open_onnx(model, device, threads, profile=Path(folder) / "profile")
        for _ in range(runs):
            for feed in feeds:
                session.run(feed)
        events = json.loads(session.end_profile().read_text())
    times: dict[str, Array] = defaultdict(lambda: np.zeros((runs, len(feeds))))
    run = 0
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(SUFFIX):
            times[name.removesuffix(SUFFIX)][divmod(run, len(feeds))] += event["dur"] * 1e-6
        run += event.get("cat") == "Session" and name == END_OF_RUN
    return {name: float(np.median(each, axis=0).mean()) for name, each in times.items()}


def time_of(name: str, times: Mapping[str, float]) -> float | None:
    """Seconds of one node, however the runtime renamed it; None when it is not found."""
    return max((t for n, t in times.items() if n == name or n.startswith((f"{name}_", f"{name}/"))), default=None)


def time_of_product(output: str, times: Mapping[str, float]) -> float | None:
    """Seconds of a dynamic product by the name of what it writes; None when it is not found."""
    return max((t for n, t in times.items() if n.startswith(f"{output}{INTEGERS}")), default=None)


def gains(
    names: Sequence[str], before: Mapping[str, float], after: Mapping[str, float], outputs: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Seconds that each node saves in `after`; negative where it became slower. Nodes that cannot be told apart are left out.

    `outputs` is what each node writes: after that, dynamic products are named, and float convolutions that the runtime rewrote.
    """
    found = {}
    for name in names:
        old, new = time_of(name, before), time_of(name, after)
        if old is None and outputs is not None and name in outputs:  # convolutions in a layout of the CPU's own are named after those too
            old = time_of(outputs[name], before)
        if new is None and outputs is not None and name in outputs:
            new = time_of_product(outputs[name], after)
        if old is not None and new is not None:
            found[name] = old - new
    return found
