"""8-bit weights, float compute: integers in the file behind Cast and Mul, which every runtime folds into float weights when it loads.

The file shrinks to about a quarter, the speed stays what it was, and the answers are the same on every CPU.
"""

from collections.abc import Collection, Iterator, Mapping
from itertools import combinations

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.affine import SMALLEST_SCALE
from optkit.quantization.graphs import add_constant, add_node, all_graphs, constant_array, constant_tensor, share_names, take_place
from optkit.quantization.operators import WEIGHT_INPUT, attribute, channel_axis, weight_of

SMALLEST_TENSOR = 1024
"""Elements; below this the two nodes cost more than they save."""
LARGE_TABLE = 1 << 20
"""Elements. The three nodes more that a lookup takes would show in a model with a small table; folded at load time it costs none."""
AT_A_TIME = 1 << 18
"""Elements of a weight."""
LARGEST_OVERHEAD = 0.06
"""Bytes of scales per byte of float weight."""


def compressible(value: ir.Value) -> bool:
    """Whether a constant is a float32 weight worth storing in 8 bits."""
    tensor = constant_tensor(value)
    return (
        tensor is not None
        and tensor.dtype == ir.DataType.FLOAT
        and len(tensor.shape) >= 2
        and tensor.size >= SMALLEST_TENSOR
        and not value.is_graph_output()
        and bool(value.uses())
    )


def compress_weights(model: ir.Model, keep: Collection[str] = (), given: Mapping[str, tuple[Array, Array]] | None = None) -> int:
    """Store every large float weight, in subgraphs too, as int8 behind Cast and Mul; names in `keep` stay float. Returns how many.

    `given` holds integers and scales that were chosen with care, by name of the weight.
    """
    done = 0
    share_names(model)
    for graph in all_graphs(model):
        for value in [v for v in graph.initializers.values() if not v.is_graph_input() and compressible(v) and v.name not in keep]:
            weight = constant_array(value)
            assert weight is not None
            found = (given or {}).get(str(value.name)) or stored_form(value, weight)
            if found is None:
                continue
            integers, scale = found
            first = graph[0]
            cast = add_node(
                first, "Cast", [add_constant(graph, f"{value.name}_int8", integers)], f"{value.name}_cast", to=int(ir.DataType.FLOAT)
            )
            real = add_node(first, "Mul", [cast.outputs[0], add_constant(graph, f"{value.name}_scale", scale)], f"{value.name}_float")
            value.replace_all_uses_with(real.outputs[0])
            graph.initializers.pop(str(value.name))
            done += 1
    return done


def compress_tables(model: ir.Model) -> list[str]:
    """Large embedding tables read by Gather stay int8 in memory too: the rows looked up become floats. Returns their names."""
    done = []
    share_names(model)
    for graph in all_graphs(model):
        for value in [v for v in graph.initializers.values() if not v.is_graph_input() and compressible(v)]:
            uses = list(value.uses())
            if any(
                u.node.op_type != "Gather" or u.idx != 0 or attribute(u.node, "axis", 0) != 0 or u.node.graph is not graph for u in uses
            ):
                continue
            weight = constant_array(value)
            assert weight is not None
            if weight.ndim != 2 or weight.shape[1] < 16 or weight.size < LARGE_TABLE:
                continue
            integers, scale = _rounded(weight, (1,))
            table, scales = add_constant(graph, f"{value.name}_int8", integers), add_constant(graph, f"{value.name}_scale", scale)
            for use in uses:
                _gather_rows(use.node, table, scales)
            graph.initializers.pop(str(value.name))
            done.append(str(value.name))
    return done


def _gather_rows(node: ir.Node, table: ir.Value, scales: ir.Value) -> None:
    out, ids = node.outputs[0], node.inputs[1]
    rows = add_node(node, "Gather", [table, ids], f"{out.name}_int8", axis=0)
    steps = add_node(node, "Gather", [scales, ids], f"{out.name}_scale", axis=0)
    real = add_node(node, "Cast", [rows.outputs[0]], f"{out.name}_cast", to=int(ir.DataType.FLOAT))
    take_place(node, add_node(node, "Mul", [real.outputs[0], steps.outputs[0]], f"{out.name}_rows").outputs[0])


def stored_form(value: ir.Value, weight: Array) -> tuple[Array, Array] | None:
    """Integers, and scales that broadcast to them: least squared error over the ways to share scales that cost few bytes.

    Output channels of a layer have scales of their own. None where the weight cannot be stored so.
    """
    if not all(np.isfinite(weight[rows]).all() for rows in _parts(weight)):
        return None
    axes = range(weight.ndim)
    apart = {channel_axis(u.node) for u in value.uses() if weight_of(u.node) is not None and u.idx == WEIGHT_INPUT}
    if len(apart) > 1:  # read in opposite orientations: no way to share scales suits both
        apart = set()
    shared = [tuple(a for a in axes if a not in kept) for count in (1, 2) for kept in combinations(axes, count) if count < weight.ndim]
    best = None
    for reduced in [*shared, tuple(axes)]:
        scales = int(np.prod([weight.shape[a] for a in axes if a not in reduced]))
        too_many = scales > LARGEST_OVERHEAD * weight.size and scales > 1
        if apart & set(reduced) if apart else too_many:
            continue
        if too_many and len(reduced) < weight.ndim - 1:
            continue
        integers, scale = _rounded(weight, reduced)
        error = _squared_error(weight, integers, scale)
        if best is None or error < best[0]:
            best = (error, integers, scale)
    return None if best is None else best[1:]


def _rounded(weight: Array, reduced: tuple[int, ...]) -> tuple[Array, Array]:
    peak = np.maximum(weight.max(axis=reduced, keepdims=True), -weight.min(axis=reduced, keepdims=True))
    scale = np.maximum(peak / np.float32(127), np.float32(SMALLEST_SCALE)).astype(np.float32)
    integers = np.empty(weight.shape, np.int8)
    for rows in _parts(weight):
        steps = weight[rows] / _along(scale, rows)
        integers[rows] = np.clip(np.rint(steps, out=steps), -127, 127, out=steps)
    return integers, scale


def _squared_error(weight: Array, integers: Array, scale: Array) -> float:
    total = 0.0
    for rows in _parts(weight):
        wrong = integers[rows] * _along(scale, rows)
        wrong -= weight[rows]
        total += float(np.einsum("i,i->", wrong.ravel(), wrong.ravel()))
    return total


def _parts(weight: Array) -> Iterator[slice]:
    """Rows that together fit the processor's cache: a weight may fill half the memory, and must not be copied whole."""
    rows = max(1, AT_A_TIME * len(weight) // max(weight.size, 1))
    return (slice(start, start + rows) for start in range(0, len(weight), rows))


def _along(scale: Array, rows: slice) -> Array:
    return scale[rows] if len(scale) > 1 else scale
