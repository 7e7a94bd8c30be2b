"""Which channels of which tensors can be scaled together without changing what a graph computes.

Scaling every channel of a tensor by a positive factor of its own passes through Relu, pooling, padding with zeros, additions of tensors
scaled alike and the like (f(s x) = s f(x)). A layer with constant weights can give its outputs any factors and take any factors back
from its inputs. Everything else wants its inputs as they are.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from optkit.arrays import Array
from optkit.quantization.graphs import constant_array, constant_tensor
from optkit.quantization.operators import attribute, channel_axis, is_standard, weight_of

THROUGH = frozenset(
    {"Relu", "LeakyRelu", "PRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Identity", "Pad", "Mul", "Div"}
)
"""One tensor that is scaled goes in and comes out scaled; other operands (a slope, a gate, a constant factor) stay as they are."""

IMAGE = 4
"""Dimensions: example, channel, row, column."""


@dataclass(frozen=True)
class Channels:
    """A tensor's channels: `axis` is counted from the end (negative), `ids` numbers them over the whole graph."""

    axis: int
    ids: Array


@dataclass
class Ties:
    """`of` holds every tensor with channels, by value; channels of one `group` take one factor, and group 0 is the one left at 1."""

    of: dict[ir.Value, Channels] = field(default_factory=dict)
    group: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    _count: int = 0
    _pairs: list[tuple[Array, Array]] = field(default_factory=list)
    _fixed: list[Array] = field(default_factory=list)

    def begin(self, value: ir.Value, axis: int, size: int) -> None:
        self.of[value] = Channels(axis, np.arange(self._count, self._count + size))
        self._count += size

    def tie(self, one: Array, other: Array) -> None:
        self._pairs.append((one, other))

    def fix(self, values: Iterable[ir.Value | None]) -> None:
        self._fixed += [self.of[v].ids for v in values if v is not None and v in self.of]

    def settle(self) -> None:
        """Number the groups: connected channels are one, and all that are fixed are group 0."""
        one = np.concatenate([np.zeros(0, np.int64), *(p[0] for p in self._pairs), *self._fixed])
        other = np.concatenate([np.zeros(0, np.int64), *(p[1] for p in self._pairs), *(np.full(len(f), self._count) for f in self._fixed)])
        size = self._count + 1  # the last one stands for "fixed"
        labels = connected_components(coo_array((np.ones(len(one)), (one, other)), shape=(size, size)), directed=False)[1]
        order = np.zeros(labels.max() + 1, np.int64)
        rest = np.setdiff1d(np.arange(labels.max() + 1), [labels[-1]])
        order[rest] = np.arange(1, len(rest) + 1)
        self.group = order[labels[:-1]]

    def groups(self, value: ir.Value) -> Array:
        """The group of every channel of a tensor."""
        return np.asarray(self.group[self.of[value].ids])


def find_ties(model: ir.Model) -> Ties:
    """The ties of the main graph; tensors read in a branch or given out are fixed."""
    ties = Ties()
    for node in model.graph:
        rule = _rule(node)
        if rule is None or not rule(node, ties):
            ties.fix(node.inputs)
            ties.fix(node.outputs)
    ties.fix(model.graph.outputs)
    ties.fix(v for v in list(ties.of) if any(u.node.graph is not model.graph for u in v.uses()))
    ties.settle()
    return ties


def scalable_layer(node: ir.Node) -> bool:
    """A Conv, Gemm or MatMul whose weight and bias are constants of its own."""
    if weight_of(node) is None:
        return False
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    own = all(len({u.node for u in v.uses()}) == 1 for v in (node.inputs[1], bias) if v is not None)
    return own and (bias is None or constant_tensor(bias) is not None)


def is_seam(node: ir.Node) -> bool:
    """A product with, or quotient by, a constant of its own for every channel: its outputs can have any factors, whatever its inputs."""
    if not is_standard(node) or node.op_type not in ("Mul", "Div") or node.inputs[1] is None:
        return False
    held = constant_tensor(node.inputs[1])
    if held is None or held.dtype != ir.DataType.FLOAT or len(node.inputs[1].uses()) != 1:
        return False
    shape = list(held.shape.numpy())
    return shape[-3:] == [held.size, 1, 1] and held.size > 1 and len(shape) <= _rank(node.inputs[0]) == IMAGE


def passes_factors(node: ir.Node) -> bool:
    """Whether there is a rule for factors to pass through, or to be taken in by, a node."""
    return _rule(node) is not None


def _seam(node: ir.Node, ties: Ties) -> bool:
    tensor = constant_tensor(node.inputs[1])
    assert tensor is not None
    ties.begin(node.outputs[0], -3, tensor.size)
    return True


def _rule(node: ir.Node) -> "Callable[[ir.Node, Ties], bool] | None":
    if not is_standard(node):
        return None
    if is_seam(node):
        return _seam
    if node.op_type in THROUGH:
        return _through
    return RULES.get(node.op_type)


def _layer(node: ir.Node, ties: Ties) -> bool:
    if not scalable_layer(node):
        return False
    weight = weight_of(node)
    assert weight is not None
    shape = list(weight.shape.numpy())
    axis = 1 - len(shape) if node.op_type == "Conv" else -1
    inputs = shape[1] * int(attribute(node, "group", 1)) if node.op_type == "Conv" else shape[1 - channel_axis(node)]
    source = ties.of.get(node.inputs[0])  # type: ignore[arg-type]
    if source is not None and (source.axis, len(source.ids)) != (axis, inputs):
        ties.fix(node.inputs)
    ties.begin(node.outputs[0], axis, shape[channel_axis(node)])
    return True


def _through(node: ir.Node, ties: Ties) -> bool:
    scaled = [v for v in node.inputs if v is not None and v in ties.of]
    if len(scaled) != 1 or len(node.outputs) != 1 or len({id(v) for v in node.inputs}) != len(node.inputs):
        return False
    if node.op_type == "Div" and scaled[0] is not node.inputs[0]:
        return False
    if node.op_type == "Pad" and not _pads_zeros(node, ties.of[scaled[0]].axis):
        return False
    channels = ties.of[scaled[0]]
    if len(channels.ids) == 1 and node.op_type in ("Mul", "Div", "PRelu"):
        return False  # the other operand may widen it
    ties.of[node.outputs[0]] = channels
    return True


def _pads_zeros(node: ir.Node, axis: int) -> bool:
    pads = constant_array(node.inputs[1]) if len(node.inputs) > 1 else None
    if pads is None or len(node.inputs) > 3:
        return False
    rank = len(pads) // 2
    mode = node.attributes["mode"].as_string() if "mode" in node.attributes else "constant"
    value = constant_array(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else np.zeros(1)
    zero = value is not None and not np.any(value)
    return (zero or mode != "constant") and not pads[rank + axis] and not pads[2 * rank + axis]


def _add(node: ir.Node, ties: Ties) -> bool:
    scaled = [v for v in node.inputs if v is not None and v in ties.of]
    if not scaled:
        return False
    first = ties.of[scaled[0]]
    if len(first.ids) == 1:
        return False
    if len(scaled) == 1:
        other = next(v for v in node.inputs if v is not scaled[0])
        tensor = constant_tensor(other)
        if tensor is None or len(tensor.shape) > _rank(scaled[0]) or len({u.node for u in other.uses()}) != 1:  # type: ignore[union-attr]
            return False
    else:
        second = ties.of[scaled[1]]
        if (first.axis, len(first.ids)) != (second.axis, len(second.ids)):
            return False
        ties.tie(first.ids, second.ids)
    ties.of[node.outputs[0]] = first
    return True


def _concat(node: ir.Node, ties: Ties) -> bool:
    found = [ties.of.get(v) for v in node.inputs if v is not None]
    rank = max((_rank(v) for v in node.inputs), default=0)
    if not rank or not found or any(c is None or c.axis != found[0].axis for c in found):  # type: ignore[union-attr]
        return False
    parts = [c for c in found if c is not None]
    axis = int(attribute(node, "axis", 0))
    axis = axis if axis < 0 else axis - rank
    if axis == parts[0].axis:
        ties.of[node.outputs[0]] = Channels(axis, np.concatenate([p.ids for p in parts]))
        return True
    for part in parts[1:]:
        ties.tie(parts[0].ids, part.ids)
    ties.of[node.outputs[0]] = parts[0]
    return True


def _transpose(node: ir.Node, ties: Ties) -> bool:
    channels = ties.of.get(node.inputs[0])  # type: ignore[arg-type]
    order = node.attributes["perm"].as_ints() if "perm" in node.attributes else ()
    if channels is None or not order:
        return False
    ties.of[node.outputs[0]] = Channels(list(order).index(len(order) + channels.axis) - len(order), channels.ids)
    return True


def _moved(node: ir.Node, ties: Ties) -> bool:
    """Squeeze, Flatten, Reshape, ReduceMean: dimensions of size 1 behind the channels go or stay."""
    source, result = node.inputs[0], node.outputs[0]
    channels = ties.of.get(source)  # type: ignore[arg-type]
    if channels is None or source is None or source.shape is None or result.shape is None:
        return False
    before, after = list(source.shape), list(result.shape)
    place = len(before) + channels.axis
    if node.op_type == "ReduceMean":
        kept = attribute(node, "keepdims", 1) == 1 and len(before) == len(after) and after[place] == len(channels.ids) > 1
        if kept:
            ties.of[result] = channels
        return kept
    sizes = [d for d in after if d != 1]
    if before[place] != len(channels.ids) or any(d != 1 for d in before[place + 1 :]) or place != 1:
        return False
    if len(after) < 2 or after[1] != len(channels.ids) or any(d != 1 for d in after[2:]) or len(sizes) > 2:
        return False
    ties.of[result] = Channels(1 - len(after), channels.ids)
    return True


def _rank(value: ir.Value | None) -> int:
    return 0 if value is None or value.shape is None else len(value.shape)


RULES: Mapping[str, Callable[[ir.Node, Ties], bool]] = {
    **dict.fromkeys(("Conv", "Gemm", "MatMul"), _layer),
    **dict.fromkeys(("Squeeze", "Flatten", "Reshape", "ReduceMean"), _moved),
    "Add": _add,
    "Concat": _concat,
    "Transpose": _transpose,
}
