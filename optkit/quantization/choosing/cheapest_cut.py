"""Which nodes compute in integers: the set that takes least time, conversions at its borders counted.

A node takes one time in integers and another in float, and a value that crosses between the two takes a conversion. That is a minimum
cut of a graph, which a maximum flow finds exactly (Ford and Fulkerson 1956): on the source's side are the nodes in integers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from optkit.quantization.integer_graph.insert_static import activation_inputs
from optkit.quantization.operators import weight_of

TICK = 1e-8
"""Seconds of one unit of flow, of which 2^31 fit."""
NEVER = 10.0
"""Seconds of what must not be cut."""
SOURCE, SINK = 0, 1


@dataclass(frozen=True)
class Costs:
    """What nodes take, by name, and values, by name of the value, in seconds."""

    integers: Mapping[str, float]
    floats: Mapping[str, float | None]
    """None for nodes that are a part of another in the float graph, and cost nothing beside it."""
    crossing: Mapping[str, float]
    """To convert a value."""
    reading: Collection[str]
    """Nodes that, in integers, read integers; the others convert for themselves."""
    writing: Collection[str]
    """Nodes that, in integers, write integers."""


def cheapest_cut(nodes: Sequence[ir.Node], costs: Costs) -> tuple[set[str], float]:
    """Names of those of the `nodes` (of one graph, in order) that had better compute in integers, and the seconds that this saves
    against all of them doing so.
    """
    flow = _Flow()
    chosen = {str(n.name): n for n in nodes}
    for name, node in chosen.items():
        here, beside = flow.place(name), costs.floats[name]
        flow.pipe(here, SINK, costs.integers[name])
        flow.pipe(SOURCE, here, beside or 0.0)
        makers = [str(v.producer().name) for v in activation_inputs(node) if v.producer() is not None]  # type: ignore[union-attr]
        inside = [m for m in makers if m in chosen]
        if name in costs.reading and weight_of(node) is None:  # integers are all that it can read
            for maker in inside:
                flow.pipe(here, flow.place(maker), NEVER)
        if beside is None and inside:  # what computes the maker in float computes it on the way
            flow.pipe(flow.place(inside[-1]), here, NEVER)
    everything = sum(costs.integers[name] for name in chosen)
    for value in dict.fromkeys(v for n in nodes if str(n.name) in costs.reading for v in (*activation_inputs(n), *n.outputs)):
        everything += _add_value(flow, value, costs)
    kept, least = flow.cut()
    return {name for name in chosen if flow.place(name) in kept}, everything - least


def _add_value(flow: "_Flow", value: ir.Value, costs: Costs) -> float:
    """Pipes for one value: it is converted once where its maker and any of its readers differ. Returns what it costs if all compute in
    integers that can.
    """
    seconds, maker = costs.crossing.get(str(value.name), 0.0), value.producer()
    made = flow.place(str(maker.name)) if maker is not None and str(maker.name) in costs.writing else SINK
    readers = [flow.place(str(r.name)) if str(r.name) in costs.reading else SINK for r in value.consumers()]
    if value.is_graph_output():
        readers.append(SINK)
    if not readers or not seconds:
        return 0.0
    to_integers, to_floats = flow.place(f"{value.name} to integers"), flow.place(f"{value.name} to floats")
    flow.pipe(to_integers, made, seconds)
    flow.pipe(made, to_floats, seconds)
    for reader in dict.fromkeys(readers):
        flow.pipe(reader, to_integers, NEVER)
        flow.pipe(to_floats, reader, NEVER)
    integers = [r != SINK for r in readers]
    return seconds * ((made == SINK and any(integers)) + (made != SINK and not all(integers)))


class _Flow:
    """A network of pipes."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._pipes: dict[tuple[int, int], float] = {}

    def place(self, name: str) -> int:
        return self._places.setdefault(name, len(self._places) + 2)

    def pipe(self, start: int, end: int, seconds: float) -> None:
        if start != end and start != SINK and end != SOURCE:
            self._pipes[start, end] = self._pipes.get((start, end), 0.0) + max(seconds, 0.0)

    def cut(self) -> tuple[set[int], float]:
        """Places on the source's side of the cheapest cut, and its seconds."""
        size = len(self._places) + 2
        ends = np.array(list(self._pipes), dtype=np.int32).reshape(-1, 2)
        units = np.rint(np.minimum(list(self._pipes.values()), NEVER) / TICK).astype(np.int32)
        pipes = csr_array((units, (ends[:, 0], ends[:, 1])), shape=(size, size), dtype=np.int32)
        flow = maximum_flow(pipes, SOURCE, SINK)
        rest = pipes - flow.flow
        rest.data[rest.data < 0] = 0
        rest.eliminate_zeros()
        reached = breadth_first_order(rest, SOURCE, return_predecessors=False)
        return set(map(int, reached)), float(flow.flow_value) * TICK


__all__ = ["Costs", "cheapest_cut"]
