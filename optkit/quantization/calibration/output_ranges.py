"""Ranges of activations by what they do to the outputs: values that nothing behind a layer asks for need no integers.

A tensor's own squared error treats all values alike. Where a GELU or a maximum follows, half of a range may be for nothing, and what is
cut off in one layer may be made up for by another. So ranges are tried where all tensors are rounded, one end of one range at a time.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.progress import Progress
from optkit.quantization.affine import Grid, grid_for
from optkit.quantization.calibration.feeds import Feeds
from optkit.quantization.calibration.switched import SwitchedModel, with_error
from optkit.quantization.graphs import add_constant, add_node, all_graphs, graph_of, share_names
from optkit.runtimes import full_feeds, open_session

ENDS = ((0.7, 1.0), (0.4, 1.0), (0.15, 1.0), (1.0, 0.85), (1.0, 0.7), (1.0, 0.5), (1.2, 1.0), (1.0, 1.15), (1.0, 1.3))
"""Factors of the low and of the high end of a range to try."""
EXAMPLES, FEWEST_EXAMPLES = 48, 8
MOST_ASKED = 2_000
"""Examples times tensors: models of many tensors get fewer examples."""
MOST_RUNS = 100
"""Over the examples."""
GLANCE = 6
"""Examples at least, and a quarter of all, that tell which tensors are looked at, and whether a range is tried on all examples."""
HOPELESS = 1.15
"""Times the noise there was, on those."""
BETTER = 0.97
"""Share to which the noise must fall for another range to be taken: less may be chance."""
MATTERS = 0.02
"""Share of the noise of all tensors that one must have to be looked at."""


def ranges_by_output(
    original: Path, model: ir.Model, grids: Mapping[str, Grid], examples: Feeds, *, threads: int, progress: Progress
) -> dict[str, Grid]:
    """Those of the given grids, by tensor, that are better otherwise. `original` is the file that `model` is of."""
    there = _values(model)
    held = {name: grid for name, grid in grids.items() if name in there}
    if not held:
        return {}
    count = int(np.clip(MOST_ASKED // len(held), FEWEST_EXAMPLES, EXAMPLES))
    return _search(_Rounded(original, model, list(held), examples.spread(count), threads), held, progress)


def _search(rounded: "_Rounded", held: Mapping[str, Grid], progress: Progress) -> dict[str, Grid]:
    glance = max(GLANCE, rounded.examples // 4)
    alone = {}
    for name, grid in held.items():
        alone[name] = rounded.noise({name: grid}, glance)
        progress("weighing ranges", len(alone), len(held))
    total = max(sum(alone.values()), 1e-30)
    order = sorted((n for n in alone if alone[n] > MATTERS * total), key=lambda n: -alone[n])
    now, runs = dict(held), 0
    noise, glanced = rounded.noise(held), rounded.noise(held, glance)
    found: dict[str, Grid] = {}
    for name in order:
        for low, high in ENDS:
            grid = grid_for(now[name].low * low, now[name].high * high)
            if grid == now[name] or runs >= MOST_RUNS:
                continue
            runs += 1
            progress("fitting ranges to the outputs", runs, min(MOST_RUNS, len(order) * len(ENDS)))
            tried = {**now, name: grid}
            if rounded.noise(tried, glance) > HOPELESS * glanced:
                continue
            better = rounded.noise(tried)
            if better < BETTER * noise:
                noise, glanced = better, rounded.noise(tried, glance)
                now[name] = found[name] = grid
    return found


class _Rounded:
    """The float model with any of its tensors rounded to any grid, without a new session: grids are inputs."""

    PORTS = ("optkit_scales", "optkit_zero_points", "optkit_switches")

    def __init__(self, original: Path, model: ir.Model, names: Sequence[str], examples: Feeds, threads: int) -> None:
        self.names = names
        feeds = list(full_feeds(open_session(original, "cpu", threads), examples))
        self.examples = len(feeds)
        self.switched = SwitchedModel(model, _switched(model, names, self.PORTS), feeds, self._given({}), threads)

    def noise(self, grids: Mapping[str, Grid], first: int | None = None) -> float:
        """At the outputs, relative to what varies in them, when these tensors are rounded; on the first few examples or on all."""
        return self.switched.noise(self._given(grids), first)

    def _given(self, grids: Mapping[str, Grid]) -> dict[str, Array]:
        scales = np.array([grids[n].scale if n in grids else 1 for n in self.names], np.float32)
        zeros = np.array([grids[n].zero_point if n in grids else 0 for n in self.names], np.uint8)
        switches = np.array([n in grids for n in self.names], np.float32)
        return dict(zip(self.PORTS, (scales, zeros, switches), strict=True))


def _switched(model: ir.Model, names: Sequence[str], ports: Sequence[str]) -> ir.Model:
    made = model.clone()
    share_names(made)
    graph = made.graph
    kinds = (ir.DataType.FLOAT, ir.DataType.UINT8, ir.DataType.FLOAT)
    inputs = [ir.Value(name=p, type=ir.TensorType(k), shape=ir.Shape([len(names)])) for p, k in zip(ports, kinds, strict=True)]
    graph.inputs.extend(inputs)
    values = _values(made)
    for place, name in enumerate(names):
        value = values[name]
        uses, producer, given_out = list(value.uses()), value.producer(), value.is_graph_output()
        after = producer is not None
        index = add_constant(graph, "place", np.int64(place))
        first = picked = producer if producer is not None else graph[0]
        parts = []
        for port in inputs:
            picked = add_node(picked, "Gather", [port, index], "picked", after=after or picked is not first)
            parts.append(picked.outputs[0])
        integers = add_node(picked, "QuantizeLinear", [value, *parts[:2]], "integers", after=True)
        back = add_node(integers, "DequantizeLinear", [integers.outputs[0], *parts[:2]], "back", after=True)
        noisy = with_error(back, value, back.outputs[0], parts[2], after=True)
        for use in uses:
            use.node.replace_input_with(use.idx, noisy)
        if given_out:
            told = value.name
            value.name, noisy.name = f"{told}_exact", told
            noisy.type, noisy.shape = value.type, value.shape
            home = graph_of(producer) if producer is not None else graph
            home.outputs[:] = [noisy if v is value else v for v in home.outputs]
    return made


def _values(model: ir.Model) -> dict[str, ir.Value]:
    """The main graph's inputs and what nodes give, in branches and loop bodies too, where a name tells one from all others."""
    every = [*model.graph.inputs, *(v for g in all_graphs(model) for n in g for v in n.outputs)]
    count = Counter(str(v.name) for v in every)
    return {str(v.name): v for v in every if count[str(v.name)] == 1}
