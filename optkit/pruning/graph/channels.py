"""Which positions along which axes of which tensors must be removed together.

Every position of a tracked axis has a number; tied numbers are one unit. Number 0 stands for what must stay.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from optkit.arrays import Array
from optkit.quantization.graphs import constant_tensor

Kept = Callable[[Array], Array]
"""From numbers to a mask of those that stay."""
Change = Callable[[ir.Node, Kept], None]


@dataclass
class Channels:
    """What is known so far: numbers along axes of computed tensors and of constants, ties, and what must change when channels go."""

    of: dict[ir.Value, dict[int, Array]] = field(default_factory=dict)
    """Axes that are not listed must stay as they are. Numbers may repeat: several positions for one channel."""
    changes: list[tuple[str, Change]] = field(default_factory=list)
    """By node name: attributes and constants that hold sizes."""
    steady: Mapping[str, Sequence[int | None]] = field(default_factory=dict)
    """Sizes of tensors that were the same on all examples, whatever the batch: they help where the graph does not tell."""
    claims: set[tuple[ir.Value, int, ir.Node, int]] = field(default_factory=set)
    """Which reader follows which axis of which constant."""
    count: int = 1
    _pairs: list[tuple[Array, Array]] = field(default_factory=list)

    def fresh(self, size: int) -> Array:
        self.count += size
        return np.arange(self.count - size, self.count)

    def tie(self, one: Array, other: Array) -> None:
        """Position by position; numbers of unequal length stay for good."""
        if one.shape == other.shape:
            self._pairs.append((one.reshape(-1), other.reshape(-1)))
        else:
            self.freeze(one)
            self.freeze(other)

    def freeze(self, numbers: Array) -> None:
        self._pairs.append((numbers.reshape(-1), np.zeros(numbers.size, np.int64)))

    def freeze_value(self, value: ir.Value) -> None:
        """All its channels stay."""
        for numbers in self.of.get(value, {}).values():
            self.freeze(numbers)

    def axes(self, value: ir.Value | None) -> dict[int, Array]:
        return {} if value is None else self.of.get(value, {})

    def give(self, value: ir.Value, axis: int, numbers: Array) -> None:
        self.of.setdefault(value, {})[axis] = numbers
        if size_of(value, axis) not in (None, len(numbers)):
            self.freeze(numbers)

    def follow(self, node: ir.Node, place: int, axis: int, numbers: Array) -> None:
        """The constant that `node` reads at `place` loses positions with `numbers`."""
        value = node.inputs[place]
        tensor = constant_tensor(value)
        if value is None or tensor is None or value.producer() is not None or int(tensor.shape.numpy()[axis]) != len(numbers):
            self.freeze(numbers)
            return
        held = self.of.setdefault(value, {})
        if axis in held:
            self.tie(held[axis], numbers)
        else:
            held[axis] = numbers
        self.claims.add((value, axis, node, place))

    def size(self, value: ir.Value, axis: int) -> int | None:
        """As the graph tells it, else as the examples do."""
        told, seen = size_of(value, axis), self.steady.get(str(value.name), ())
        return told if told is not None or axis >= len(seen) else seen[axis]

    def change(self, node: ir.Node, how: Change) -> None:
        self.changes.append((str(node.name), how))

    def freeze_unclaimed(self, graph: ir.Graph) -> None:
        """Constants with a reader that does not follow, and tensors that are given out or read in branches, stay."""
        for value, axes in self.of.items():
            uses = list(value.uses())
            if value.is_graph_output() or any(u.node.graph is not graph for u in uses):
                self.freeze_value(value)
            if constant_tensor(value) is not None:
                for axis, numbers in axes.items():
                    if any((value, axis, u.node, u.idx) not in self.claims for u in uses):
                        self.freeze(numbers)

    def settle(self) -> Array:
        """The unit of each number: 0 for what stays."""
        one, other = (_joined(p[side] for p in self._pairs) for side in (0, 1))
        shape = (self.count, self.count)
        labels = connected_components(coo_array((np.ones(len(one)), (one, other)), shape=shape), directed=False)[1]
        first = np.full(labels.max() + 1, self.count)
        np.minimum.at(first, labels, np.arange(self.count))
        rank = np.argsort(np.argsort(first))  # by first number, so that 0 is what holds number 0
        return np.asarray(rank[labels])


def rank_of(value: ir.Value | None) -> int | None:
    return None if value is None or value.shape is None else len(value.shape)


def size_of(value: ir.Value, axis: int) -> int | None:
    """A size that is the same for every input; None where it may vary or is not known."""
    if value.shape is None or axis >= len(value.shape):
        return None
    size = value.shape[axis]
    return size if isinstance(size, int) else None


def _joined(parts: Iterable[Array]) -> Array:
    return np.concatenate([np.zeros(0, np.int64), *parts])
