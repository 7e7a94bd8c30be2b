"""How long each node of a graph takes, from ONNX Runtime's own profile."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Profile:
    """What each node takes, by its name as the runtime calls it; fused nodes keep the name of one of their parts, with a suffix."""

    seconds: Mapping[str, float]
    """The mean over the feeds; for one feed the least of several runs, since others share the machine. A node in a branch that a feed does
    not take, takes none."""
    written: Mapping[str, int]
    """The most bytes that it wrote."""
    operators: Mapping[str, str]

    @property
    def whole(self) -> float:
        """Seconds of all nodes together."""
        return sum(self.seconds.values())


def node_times(model: Path, feeds: Sequence[Mapping[str, Array]], threads: int, device: str) -> Mapping[str, float]:
    """Seconds by node (see `Profile`)."""
    return profile_nodes(model, feeds, threads, device).seconds


def profile_nodes(model: Path, feeds: Sequence[Mapping[str, Array]], threads: int, device: str) -> Profile:
    """A model run on every feed several times, by node. Raises ModelError when it does not load."""
    runs = max(RUNS // len(feeds), FEWEST_RUNS)
    with tempfile.TemporaryDirectory() as folder:
        session = open_onnx(model, device, threads, profile=Path(folder) / "profile")
        for _ in range(runs):
            for feed in feeds:
                session.run(feed)
        events = json.loads(session.end_profile().read_text())
    times: dict[str, Array] = defaultdict(lambda: np.zeros((runs, len(feeds))))
    written: dict[str, int] = defaultdict(int)
    operators = {}
    run = 0
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(SUFFIX):
            node, told = name.removesuffix(SUFFIX), event.get("args", {})
            times[node][divmod(run, len(feeds))] += event["dur"] * 1e-6
            written[node] = max(written[node], int(told.get("output_size", 0)))
            operators[node] = str(told.get("op_name", ""))
        run += event.get("cat") == "Session" and name == END_OF_RUN
    return Profile({name: float(each.min(axis=0).mean()) for name, each in times.items()}, dict(written), operators)


def time_of(name: str, times: Mapping[str, float]) -> float | None:
    """Seconds of one node (or whatever else is told by node), however the runtime renamed it; None when it is not found."""
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
