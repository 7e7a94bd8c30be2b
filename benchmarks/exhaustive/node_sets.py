"""Which nodes compute in integers: every set that the search tries around one treatment."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import onnx_ir as ir

from optkit.quantization.graphs import all_graphs
from optkit.quantization.operators import attribute, weight_of
from optkit.quantization.variants.treatment import Treatment

BLOCKS = 6
"""Parts that the layers are cut into, in order; every run of neighbouring parts is tried."""
MOST_KINDS = 5
"""Kinds of layers of which every subset is tried; of more, those that are rarest go together."""


def kinds_of(model: ir.Model, treatment: Treatment) -> dict[str, list[str]]:
    """Kind of layer → names of the nodes in the treatment: convolutions by shape, other operators by type."""
    kinds: dict[str, list[str]] = {}
    for graph in all_graphs(model):
        for node in graph:
            if node.name in treatment.ways:
                kinds.setdefault(_kind(node), []).append(str(node.name))
    return kinds


def by_kind(model: ir.Model, treatment: Treatment) -> Iterator[Treatment]:
    """Every subset of the kinds of layers that have weights, and the whole without each kind of elementwise node."""
    kinds = kinds_of(model, treatment)
    weighted = {k: names for k, names in kinds.items() if k.startswith(("Conv", "MatMul", "Gemm"))}
    common = sorted(weighted, key=lambda k: len(weighted[k]), reverse=True)
    groups = [[k] for k in common[: MOST_KINDS - 1]] + ([common[MOST_KINDS - 1 :]] if len(common) >= MOST_KINDS else [])
    for count in range(1, len(groups)):
        for left_out in combinations(groups, count):
            names = [k for group in left_out for k in group]
            yield _without(treatment, f"without {' + '.join(names)}", [n for k in names for n in weighted[k]])
    for kind in kinds:
        if kind not in weighted:
            yield _without(treatment, f"without {kind}", kinds[kind])


def by_block(names: Sequence[str], treatment: Treatment) -> Iterator[Treatment]:
    """Every run of neighbouring parts of the layers `names`, in graph order; all else is float."""
    count = min(BLOCKS, len(names))
    edges = [round(i * len(names) / max(count, 1)) for i in range(count + 1)]
    for first in range(count):
        for last in range(first + 1, count + 1):
            if last - first < count:
                kept = set(names[edges[first] : edges[last]])
                outside = [n for n in names if n not in kept]
                yield _without(treatment, f"layers {edges[first] + 1} to {edges[last]} of {len(names)}", outside)


def by_rank(order: Sequence[str], treatment: Treatment, why: str) -> Iterator[Treatment]:
    """Without the first one, two, three, four, six, … layers of a ranking."""
    count = 1
    while count < len(order):
        yield _without(treatment, f"without {count} {why}", order[:count])
        count = max(count + 1, round(count * 1.4))


def slowest_first(names: Sequence[str], saved: Mapping[str, float]) -> list[str]:
    """Layers by what they save in integers, those that save least, or cost time, first; unknown ones last."""
    return sorted((n for n in names if n in saved), key=lambda n: saved[n])


def _without(treatment: Treatment, label: str, names: Sequence[str]) -> Treatment:
    return replace(treatment.without(names), name=f"{treatment.name}, {label}")


def _kind(node: ir.Node) -> str:
    weight = weight_of(node)
    if node.op_type != "Conv" or weight is None:
        return node.op_type
    if attribute(node, "group", 1) > 1:
        return "Conv depthwise"
    return "Conv 1×1" if all(size == 1 for size in list(weight.shape)[2:]) else "Conv"
