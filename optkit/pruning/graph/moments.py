"""First and second moments of what layers read, and of what they should give, gathered one example at a time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optkit.pruning.graph.channels import Array
from optkit.pruning.graph.rows import count_places, groups_of, input_rows, output_rows
from optkit.quantization.graphs import prune_unused
from optkit.quantization.watch import Feeds, Watch

Progress = Callable[[str, int, int], None]

ROWS = 1 << 15
"""Of a layer that are looked at in all, drawn with a fixed seed; more teach nothing new."""
FEWEST, MOST = 64, 1024
"""Of one example."""


AT_ONCE = 1024
"""Rows that are multiplied together."""


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


def gather_moments(
    model: ir.Model,
    nodes: Sequence[ir.Node],
    examples: Feeds,
    wanted: tuple[ir.Model, Mapping[str, Array]] | None = None,
    *,
    threads: int,
    progress: Progress,
    limit: int | None = None,
) -> dict[str, tuple[Moments, Moments]]:
    """By node name, moments over every other example and over the rest.

    `wanted` is the model whose outputs are to be met, and for each node which of its output channels. What no example reaches is left out.
    """
    sources = [str(n.inputs[0].name) for n in nodes if n.inputs[0] is not None]
    given = Watch(_cut(model, sources), sources, examples, threads, limit)
    targets = [str(n.outputs[0].name) for n in nodes]
    second: Iterable[Mapping[str, Array]] = ({} for _ in given)
    if wanted is not None:
        second = Watch(_cut(wanted[0], targets), targets, examples, threads, limit)
    each = int(np.clip(ROWS // max(len(examples), 1), FEWEST, MOST))
    sums = {str(n.name): (_Sum(groups_of(n)), _Sum(groups_of(n))) for n in nodes}
    for number, (values, answers) in enumerate(zip(given, second, strict=False)):
        for node, target in zip(nodes, targets, strict=True):
            value = values.get(str(node.inputs[0].name))  # type: ignore[union-attr]
            answer = answers.get(target)
            if value is None or (wanted is not None and answer is None):
                continue
            places = _draw(count_places(node, value), each, number)
            y = output_rows(node, answer, places)[:, wanted[1][str(node.name)]] if wanted is not None and answer is not None else None
            sums[str(node.name)][number % 2].add(input_rows(node, value, places), y)
        progress("looking at what layers read", number + 1, len(given))
    halves = {name: (one.total(), other.total()) for name, (one, other) in sums.items()}
    return {name: (a, b if b is not None else a) for name, (a, b) in halves.items() if a is not None}


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


def _moments(rows: Array, wanted: Array | None, groups: int) -> Moments:
    y = np.zeros((groups, rows.shape[1], 0)) if wanted is None else wanted.reshape(len(wanted), groups, -1).transpose(1, 0, 2)
    return Moments(rows.shape[1], rows.sum(1), rows.transpose(0, 2, 1) @ rows, y.sum(1), y.transpose(0, 2, 1) @ rows)


def _draw(total: int, most: int, seed: int) -> Array:
    if total <= most:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).choice(total, most, replace=False))


def _cut(model: ir.Model, names: Sequence[str]) -> ir.Model:
    """The part of a model that computes these tensors."""
    made = model.clone()
    inputs = {v.name for v in made.graph.inputs}
    values = {v.name: v for n in made.graph for v in n.outputs}
    made.graph.outputs.clear()
    made.graph.outputs.extend(values[name] for name in dict.fromkeys(names) if name not in inputs)
    prune_unused(made)
    return made
