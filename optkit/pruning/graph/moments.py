"""First and second moments of what layers read, and of what they should give, gathered one example at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.pruning.graph.kept_rows import KeptRows, rows_for
from optkit.pruning.graph.rows import count_places, groups_of, input_rows, output_rows, weights_per_output
from optkit.quantization.calibration.feeds import Feeds
from optkit.quantization.calibration.watched import cut
from optkit.quantization.calibration.watcher import Watcher

ROWS = 1 << 15
"""Of a layer that are looked at in all, drawn with a fixed seed; more teach nothing new."""
FEWEST, MOST = 64, 1024
"""Of one example."""
LARGEST = 4608
"""Weights per output of which moments are taken, which have that many squared elements; of more, rows are kept."""
AT_ONCE = 1024
"""Rows that are multiplied together."""

Halves = tuple["Moments", "Moments"] | tuple[KeptRows, KeptRows]


@dataclass
class Moments:
    """Sums over rows. `xx` is [group, K, K]; with wanted outputs y, `yx` is [group, outputs of it, K]."""

    count: int
    x: Array
    xx: Array
    y: Array
    yx: Array

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.x + other.x, self.xx + other.xx, self.y + other.y, self.yx + other.yx)

    def centred(self) -> tuple[Array, Array]:
        """Covariances of x, and of y with x."""
        n = max(self.count, 1)
        x, y = self.x / n, self.y / n
        return self.xx / n - x[:, :, None] * x[:, None, :], self.yx / n - y[:, :, None] * x[:, None, :]

    def raw(self) -> tuple[Array, Array]:
        n = max(self.count, 1)
        return self.xx / n, self.yx / n


def gather_moments(model: ir.Model, nodes: Sequence[ir.Node], watcher: Watcher) -> dict[str, tuple[Moments, Moments]]:
    """By node name, moments of what layers read, over every other example and over the rest. What no example reaches is left out."""
    sources = _sources(nodes)
    given = watcher.watch(cut(model, sources), sources)
    each = _each(watcher.examples, ROWS)
    sums = {str(n.name): (_Sum(groups_of(n)), _Sum(groups_of(n))) for n in nodes}
    for number, values in enumerate(given):
        for node, source in zip(nodes, sources, strict=True):
            if (value := values.get(source)) is not None:
                rows = input_rows(node, value, _draw(count_places(node, value), each, number))
                sums[str(node.name)][number % 2].add(rows, None)
        watcher.progress("looking at what layers read", number + 1, len(given))
    return _halves(sums)


def gather_errors(
    model: ir.Model, nodes: Sequence[ir.Node], watcher: Watcher, original: ir.Model, wanted: Mapping[str, Array]
) -> dict[str, Halves]:
    """The same with what layers should give: the outputs of `original`, of each node the channels that `wanted` names."""
    sources, targets = _sources(nodes), [str(n.outputs[0].name) for n in nodes]
    given = watcher.watch(cut(model, sources), sources)
    answers = watcher.watch(cut(original, targets), targets)
    sums = {str(n.name): (_collector(n), _collector(n)) for n in nodes}
    examples = watcher.examples
    each = {str(n.name): _each(examples, ROWS) if weights_per_output(n) <= LARGEST else _few(examples, n) for n in nodes}
    for number, (values, theirs) in enumerate(zip(given, answers, strict=False)):
        for node, source, target in zip(nodes, sources, targets, strict=True):
            value, answer, name = values.get(source), theirs.get(target), str(node.name)
            if value is not None and answer is not None:
                places = _draw(count_places(node, value, summed=True), each[name], number)
                y = output_rows(node, answer, places)[:, wanted[name]]
                sums[name][number % 2].add(input_rows(node, value, places, summed=True), y)
    return _halves(sums)


def _sources(nodes: Sequence[ir.Node]) -> list[str]:
    return [str(n.inputs[0].name) for n in nodes if n.inputs[0] is not None]


def _each(examples: Feeds, rows: int) -> int:
    """Of one example."""
    return int(np.clip(rows // max(len(examples), 1), FEWEST, MOST))


def _few(examples: Feeds, node: ir.Node) -> int:
    return max(1, rows_for(weights_per_output(node)) // max(len(examples), 1))


def _halves(sums: "Mapping[str, tuple[Any, Any]]") -> dict[str, Any]:
    """Where only one example was seen, it stands for both halves."""
    totals = {name: (one.total(), other.total()) for name, (one, other) in sums.items()}
    return {name: (a, b if b is not None else a) for name, (a, b) in totals.items() if a is not None}


def _collector(node: ir.Node) -> "_Sum | _Kept":
    return _Sum(groups_of(node)) if weights_per_output(node) <= LARGEST else _Kept(rows_for(weights_per_output(node)))


class _Sum:
    """Moments of rows that come in small lots: products are taken of many at once, which is what processors are fast at."""

    def __init__(self, groups: int) -> None:
        self.groups = groups
        self.rows: list[Array] = []
        self.wanted: list[Array] = []
        self.sum: Moments | None = None

    def add(self, rows: Array, wanted: Array | None) -> None:
        self.rows.append(rows)
        if wanted is not None:
            self.wanted.append(wanted)
        if sum(r.shape[1] for r in self.rows) >= AT_ONCE:
            self._fold()

    def total(self) -> Moments | None:
        self._fold()
        return self.sum

    def _fold(self) -> None:
        if self.rows:
            made = _moments(np.concatenate(self.rows, 1), np.concatenate(self.wanted) if self.wanted else None, self.groups)
            self.sum = made if self.sum is None else self.sum + made
        self.rows, self.wanted = [], []


class _Kept:
    """Rows as they come, until there are enough; of a layer without groups."""

    def __init__(self, most: int) -> None:
        self.most = most // 2
        self.rows: list[Array] = []
        self.wanted: list[Array] = []

    def add(self, rows: Array, wanted: Array) -> None:
        if sum(map(len, self.rows)) < self.most:
            self.rows.append(rows[0].astype(np.float32))
            self.wanted.append(wanted)

    def total(self) -> KeptRows | None:
        return KeptRows(np.concatenate(self.rows), np.concatenate(self.wanted)) if self.rows else None


def _moments(rows: Array, wanted: Array | None, groups: int) -> Moments:
    y = np.zeros((groups, rows.shape[1], 0)) if wanted is None else wanted.reshape(len(wanted), groups, -1).transpose(1, 0, 2)
    return Moments(rows.shape[1], rows.sum(1), rows.transpose(0, 2, 1) @ rows, y.sum(1), y.transpose(0, 2, 1) @ rows)


def _draw(total: int, most: int, seed: int) -> Array:
    if total <= most:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).choice(total, most, replace=False))
