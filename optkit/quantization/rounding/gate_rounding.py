"""Which way to round the weights of LSTM, GRU and RNN, learned from what they read: inputs, and the state of the step before.

As learned_rounding.py, for the two weights of each direction: a gate is W x + R h, so W is held against the moments of x and R against
those of h. The node's bias makes up for what rounding does to the means of both.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.graphs import all_graphs, constant_array, constant_tensor, fresh_name, graph_of, share_names
from optkit.quantization.integer_graph.insert_recurrent import BIAS, RECURRENT, WEIGHTS, RoundedGates
from optkit.quantization.operators import attribute, is_standard
from optkit.quantization.rounding.learned_rounding import LARGEST_INPUT, believed, learn_rounding

INPUT_WEIGHT, STATE_WEIGHT = WEIGHTS
FIRST_STATE = 5
ROWS = 256
"""Of inputs and of states that are kept of each example."""


@dataclass
class _Seen:
    """Rows that one weight was multiplied by, and the step of the grid that the kernel would round each example's to, squared."""

    rows: int = 0
    total: Array | float = 0.0
    second: Array | float = 0.0
    steps: list[float] = field(default_factory=list)

    def add(self, rows: Array, steps: Array, draw: np.random.Generator) -> None:
        self.steps.append(float(np.square(steps, dtype=np.float64).mean()))
        some = rows[np.sort(draw.choice(len(rows), min(len(rows), ROWS), replace=False))].astype(np.float64)
        self.rows += len(some)
        self.total = self.total + some.sum(axis=0)
        self.second = self.second + some.T @ some

    def moments(self, *, centred: bool, rounds: bool) -> tuple[Array, Array]:
        """mean(x) as [K], and [1, K, K] of which d H dᵀ is the error of an output whose weights are off by d."""
        mean = np.asarray(self.total) / self.rows
        held = np.asarray(self.second) / self.rows
        held = held - np.outer(mean, mean) if centred else held
        return mean, believed(held[None], self.rows, float(np.mean(self.steps)) if rounds else 0.0)


def can_learn_gates(node: ir.Node) -> bool:
    """Whether a recurrent node has two constant float weights of its own, and steps on its first axis."""
    if not is_standard(node) or node.op_type not in RECURRENT or len(node.inputs) <= STATE_WEIGHT or attribute(node, "layout", 0):
        return False
    for value in (node.inputs[INPUT_WEIGHT], node.inputs[STATE_WEIGHT]):
        tensor = constant_tensor(value)
        if tensor is None or tensor.dtype != ir.DataType.FLOAT or len(tensor.shape) != 3 or len(value.uses()) != 1:  # type: ignore[union-attr]
            return False
        if not tensor.size or tensor.shape.numpy()[-1] > LARGEST_INPUT:
            return False
    return constant_tensor(node.inputs[0]) is None


def round_gates(
    model: ir.Model, nodes: Iterable[ir.Node], watcher: Watcher, *, rounds_inputs: bool, portable: bool
) -> dict[str, RoundedGates]:
    """What becomes of the weights of each node that `can_learn_gates`, by its name; what no example reaches is left out.

    `rounds_inputs` is whether inputs and states will be rounded to 8 bits as well; `portable` keeps pair sums within 16 bits.
    """
    chosen = [n for n in nodes if can_learn_gates(n)]
    seen = _look(model, chosen, watcher) if chosen else {}
    found: dict[str, RoundedGates] = {}
    for node in chosen:
        held = seen.get(str(node.name))
        if held is not None:
            found[str(node.name)] = _rounded(node, held, rounds=rounds_inputs, portable=portable)
        watcher.progress("learning how to round gates", len(found), len(chosen))
    return found


def _rounded(node: ir.Node, seen: list[tuple[_Seen, _Seen]], *, rounds: bool, portable: bool) -> RoundedGates:
    bias = constant_array(node.inputs[BIAS]) if len(node.inputs) > BIAS else None
    after = None if bias is None else bias.astype(np.float64)
    integers: list[list[Array]] = [[], []]
    scales: list[list[Array]] = [[], []]
    for place, weight_input in enumerate((INPUT_WEIGHT, STATE_WEIGHT)):
        weight = constant_array(node.inputs[weight_input])
        assert weight is not None
        units = weight.shape[1]
        for direction, rows in enumerate(weight):
            mean, moments = seen[direction][place].moments(centred=bias is not None, rounds=rounds)
            found, scale = learn_rounding(node, np.ascontiguousarray(rows.T), moments, portable=portable)
            integers[place].append(found.T)
            scales[place].append(scale)
            if after is not None:
                after[direction, place * units : (place + 1) * units] += (rows - found.T * scale[:, None].astype(np.float64)) @ mean
    stacked = [(np.stack(i), np.stack(s)) for i, s in zip(integers, scales, strict=True)]
    moved = None if after is None else after.astype(np.float32)
    return RoundedGates((stacked[0][0], stacked[1][0]), (stacked[0][1], stacked[1][1]), moved)


def _look(model: ir.Model, nodes: list[ir.Node], watcher: Watcher) -> dict[str, list[tuple[_Seen, _Seen]]]:
    """For each node and each of its directions what W and what R was multiplied by."""
    names = {str(n.name): n for n in nodes}
    watched = model.clone()
    share_names(watched)
    states = {str(n.name): _named_states(n) for g in all_graphs(watched) for n in g if str(n.name) in names}
    wanted = [str(n.inputs[0].name) for n in nodes] + list(states.values())  # type: ignore[union-attr]
    wanted += [str(n.inputs[FIRST_STATE].name) for n in nodes if _first_state(n) is not None]  # type: ignore[union-attr]
    watch = watcher.watch(watched, wanted)
    found: dict[str, list[tuple[_Seen, _Seen]]] = {}
    for done, values in enumerate(watch.whole()):
        draw = np.random.default_rng(done)
        for name, node in names.items():
            source, states_of = values.get(str(node.inputs[0].name)), values.get(states[name])  # type: ignore[union-attr]
            if source is None or states_of is None or source.ndim != 3 or states_of.ndim != 4:
                continue
            first = _first_state(node)
            start = first if isinstance(first, np.ndarray) else values.get(first) if first is not None else None
            held = found.setdefault(name, [(_Seen(), _Seen()) for _ in range(states_of.shape[1])])
            for direction, (inputs, before) in enumerate(held):
                inputs.add(source.reshape(-1, source.shape[-1]), _steps(source.reshape(1, -1)), draw)
                earlier = _before(node, direction, states_of[:, direction], None if start is None else start[direction])
                before.add(earlier.reshape(-1, earlier.shape[-1]), _steps(earlier.reshape(len(earlier), -1)), draw)
        watcher.progress("looking at what gates read", done + 1, len(watch) // len(watch.groups))
    return found


def _named_states(node: ir.Node) -> str:
    """The name of the tensor of all states, [steps, directions, rows, units], which gets one where nothing reads it."""
    states = node.outputs[0]
    if not states.name:
        states.name = fresh_name(graph_of(node), f"{node.name}_states")
    if states.dtype is None:
        states.type = ir.TensorType(ir.DataType.FLOAT)
    return str(states.name)


def _first_state(node: ir.Node) -> Array | str | None:
    """What the state is before the first step: a constant, the name of a tensor, or None for zeros."""
    value = node.inputs[FIRST_STATE] if len(node.inputs) > FIRST_STATE else None
    if value is None:
        return None
    held = constant_array(value)
    return held if held is not None else str(value.name)


def _before(node: ir.Node, direction: int, states: Array, start: Array | None) -> Array:
    """Of the states after each step those before it."""
    how = node.attributes["direction"].as_string() if "direction" in node.attributes else "forward"
    first = np.zeros_like(states[:1]) if start is None else start[None]
    backwards = how == "reverse" or direction == 1
    return np.concatenate([states[1:], first] if backwards else [first, states[:-1]])


def _steps(values: Array) -> Array:
    """Of the grids over the values of each row."""
    return np.asarray(np.maximum(values.max(axis=1), 0) - np.minimum(values.min(axis=1), 0)) / 255
