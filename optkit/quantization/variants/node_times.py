"""How long each node of a graph takes, from ONNX Runtime's own profile."""

import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.integer_graph.hard_gates import CUT_OFF
from optkit.quantization.integer_graph.insert_static import output_of
from optkit.quantization.operators import WEIGHTED, weight_of
from optkit.runtimes.onnxruntime import open_onnx

SUFFIX = "_kernel_time"
END_OF_RUN = "model_run"
TOKEN = "_token_"
INTEGERS = "_int32"
"""What insert_dynamic appends to the name of what a product writes."""
RUNS = 9
FUSED_BEHIND = frozenset({"Add", "Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid"})
"""What ONNX Runtime takes into a convolution of floats."""
MOST_FUSED = 2
"""A sum and an activation."""
FEWEST_RUNS, MOST_RUNS = 3, 200
"""Of one feed."""
ENOUGH = 0.04
"""Seconds of running, from which on more of it tells little more."""


@dataclass(frozen=True)
class Profile:
    """What each node takes, by its name as the runtime calls it; fused nodes keep the name of one of their parts, with a suffix."""

    seconds: Mapping[str, float]
    """The mean over the feeds; of one feed's runs the faster half counts, since others share the machine, and all of them together since
    the profile tells whole microseconds. A node in a branch that a feed does not take, takes none."""
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
    fewest, runs = max(RUNS // len(feeds), FEWEST_RUNS), 0
    with tempfile.TemporaryDirectory() as folder:
        session = open_onnx(model, device, threads, profile=Path(folder) / "profile")
        start = time.perf_counter()
        while runs < fewest or (time.perf_counter() - start < ENOUGH and runs < MOST_RUNS):
            for feed in feeds:
                session.run(feed)
            runs += 1
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
    return Profile({name: undisturbed(each) for name, each in times.items()}, dict(written), operators)


def undisturbed(times: Array) -> float:
    """What a node takes, from its times [runs, feeds]: the mean of every feed's faster half."""
    return float(np.sort(times, axis=0)[: max(1, len(times) // 2)].mean())


def time_of(name: str, times: Mapping[str, float]) -> float | None:
    """Seconds of one node (or whatever else is told by node), however the runtime renamed it; None when it is not found.

    A number behind `_token_` tells what the runtime made of a node for certain; another number may belong to another node's name.
    """
    certain = [t for n, t in times.items() if n.startswith(f"{name}{TOKEN}")]
    if certain:
        return max([*certain, *([times[name]] if name in times else [])])
    return max((t for n, t in times.items() if n == name or n.startswith((f"{name}_", f"{name}/"))), default=None)


def time_of_product(output: str, times: Mapping[str, float]) -> float | None:
    """Seconds of a dynamic product by the name of what it writes; None when it is not found."""
    return max((t for n, t in times.items() if n.startswith(f"{output}{INTEGERS}")), default=None)


def seconds_in_float(node: ir.Node, before: Profile) -> float | None:
    """What a node takes in the float graph; None where it is not found, as where a layer takes it in.

    Layers are told from what is only called after them, such as a change of layout; convolutions in a layout of the CPU's own are
    named after what they write, or what the activation or the sum fused with them does.
    """
    weighted = weight_of(node) is not None
    kinds = (node.op_type,) if weighted else tuple(WEIGHTED)
    told = {n: t for n, t in before.seconds.items() if any(kind in before.operators[n] for kind in kinds) == weighted}  # also FusedConv
    names = [str(node.name), str(output_of(node).name), str(node.outputs[0].name)]
    return next(
        (seconds for name in [*names, *(_fused_behind(node) if weighted else [])] if (seconds := time_of(name, told)) is not None), None
    )


def _fused_behind(node: ir.Node) -> list[str]:
    """What the nodes behind a convolution write that may have been taken into it."""
    names, value = list[str](), node.outputs[0]
    while len(value.consumers()) == 1 and (reader := value.consumers()[0]).op_type in FUSED_BEHIND and len(names) < MOST_FUSED:
        value = reader.outputs[0]
        names.append(str(value.name))
    return names if node.op_type == "Conv" else []


def seconds_in_integers(node: ir.Node, after: Profile) -> float | None:
    """What a node takes in a variant, of a gate its Clip; None where it is not found."""
    output = str(node.outputs[0].name)
    found = (time_of(f"{output}{CUT_OFF}", after.seconds), time_of(str(node.name), after.seconds), time_of_product(output, after.seconds))
    return next((seconds for seconds in found if seconds is not None), None)


def gains(nodes: Iterable[ir.Node], before: Profile, after: Profile) -> dict[str, float]:
    """Seconds that each node saves in `after`, by name; negative where it became slower. Nodes that cannot be told are left out."""
    found = {}
    for node in nodes:
        old, new = seconds_in_float(node, before), seconds_in_integers(node, after)
        if old is not None and new is not None:
            found[str(node.name)] = old - new
    return found
