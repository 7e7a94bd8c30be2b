"""Move outlier channels of activations into the weights, where they cost little: x W = (x / s) (s W).

Xiao et al. 2023, "SmoothQuant". Here the strength is searched for each input by the error of the products themselves, and an input
that gains little is left alone, since dividing it costs a node at run time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from optkit.quantization.affine import grid_for, quantize_weight
from optkit.quantization.graphs import add_constant, add_node, constant_array
from optkit.quantization.insert_dynamic import can_be_dynamic
from optkit.quantization.operators import attribute
from optkit.quantization.watch import Feeds, Watch

Array = np.ndarray[Any, np.dtype[Any]]
Progress = Callable[[str, int, int], None]

STRENGTHS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
EXAMPLES = 8
ROWS = 24
"""Rows of an input kept per example."""
WORTH_A_NODE = 0.7
"""The error must fall at least to this share of what it was."""


def find_smoothing(model: ir.Model, examples: Feeds, *, threads: int, progress: Progress, limit: int | None = None) -> dict[str, Array]:
    """The divisor of every channel, by name of the tensor, for inputs of matrix products that gain by it; `limit` as in Watch."""
    groups: dict[str, list[ir.Node]] = {}
    for node in model.graph:
        if can_be_dynamic(node):
            groups.setdefault(str(node.inputs[0].name), []).append(node)  # type: ignore[union-attr]
    if not groups:
        return {}
    found = {}
    rows = _rows(model, groups, examples.spread(EXAMPLES), threads, limit)
    for done, (name, nodes) in enumerate(groups.items()):
        divisor = _best_divisor(rows.get(name, []), [_matrix(n) for n in nodes])
        if divisor is not None:
            found[name] = divisor
        progress("smoothing activations", done + 1, len(groups))
    return found


def apply_smoothing(graph: ir.Graph, names: Iterable[str], smoothing: Mapping[str, Array]) -> dict[str, str]:
    """Divide the inputs of the named nodes and multiply their weights, in place. Returns the divided tensors by their old names."""
    divided: dict[str, ir.Value] = {}
    chosen = set(names)
    for node in [n for n in graph if n.name in chosen]:
        source, weight = node.inputs[0], node.inputs[1]
        assert source is not None
        assert weight is not None
        name = str(source.name)
        if name not in smoothing:
            continue
        divisor = smoothing[name]
        if name not in divided:
            factor = add_constant(graph, f"{name}_smoothing", (1 / divisor).astype(np.float32))
            divided[name] = add_node(node, "Mul", [source, factor], f"{name}_smooth").outputs[0]
        node.replace_input_with(0, divided[name])
        array = constant_array(weight)
        assert array is not None
        across = node.op_type == "Gemm" and bool(attribute(node, "transB", 0))
        scaled = array * (divisor[None, :] if across else divisor[:, None])
        node.replace_input_with(1, add_constant(graph, f"{weight.name}_smooth", scaled.astype(np.float32)))
    return {name: str(value.name) for name, value in divided.items()}


def _rows(model: ir.Model, names: Iterable[str], examples: Feeds, threads: int, limit: int | None) -> dict[str, list[Array]]:
    """Some rows of each tensor, apart for each example since each has a range of its own."""
    kept: dict[str, list[Array]] = {}
    for values in Watch(model, names, examples, threads, limit):
        for name, value in values.items():
            if value.ndim >= 2:
                flat = value.reshape(-1, value.shape[-1])
                places = np.linspace(0, len(flat) - 1, min(ROWS, len(flat))).round().astype(int)
                kept.setdefault(name, []).append(flat[places])
    return kept


def _matrix(node: ir.Node) -> Array:
    array = constant_array(node.inputs[1])
    assert array is not None
    return array.T if node.op_type == "Gemm" and attribute(node, "transB", 0) else array


def _best_divisor(rows: Sequence[Array], weights: Sequence[Array]) -> Array | None:
    if not rows:
        return None
    peaks = np.max([np.abs(r).max(axis=0) for r in rows], axis=0)
    strongest = np.max([np.abs(w).max(axis=1) for w in weights], axis=0)
    peaks, strongest = np.maximum(peaks, 1e-5 * peaks.max() + 1e-12), np.maximum(strongest, 1e-5 * strongest.max() + 1e-12)
    truth = [np.concatenate(rows) @ w for w in weights]
    plain = _error(rows, weights, truth, np.ones_like(peaks))
    best: tuple[float, Array | None] = (plain * WORTH_A_NODE, None)
    for strength in STRENGTHS:
        divisor = peaks**strength / strongest ** (1 - strength)
        divisor = (divisor / np.exp(np.log(divisor).mean())).astype(np.float32)
        error = _error(rows, weights, truth, divisor)
        if error < best[0]:
            best = (error, divisor)
    return best[1]


def _error(rows: Sequence[Array], weights: Sequence[Array], truth: Sequence[Array], divisor: Array) -> float:
    """Squared error of the products over their energy, with activations rounded per example and weights per output channel."""
    smooth = [r / divisor for r in rows]
    rounded = np.concatenate([grid_for(float(r.min()), float(r.max())).round_trip(r) for r in smooth])
    total = 0.0
    for weight, exact in zip(weights, truth, strict=True):
        integers, scale = quantize_weight(weight * divisor[:, None], 1)
        approximate = (rounded @ integers.astype(np.float32)) * scale
        total += float(((approximate - exact) ** 2).sum()) / max(float((exact**2).sum()), 1e-30)
    return total
