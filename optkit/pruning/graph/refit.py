"""Weights that stay are solved again by least squares, layer after layer, so that each gives what the original's layer gave.

A layer of the pruned model reads what the layers before it, pruned and refitted, make of the examples; what it should give is taken
from the original (He et al. 2017, "Channel Pruning for Accelerating Very Deep Neural Networks"). Ridge regression pulls towards
the weights that are there; how strongly is chosen by holding each half of the examples against the other, so that few examples teach
little rather than something wrong. Layers with very many weights per output are solved from some rows of what they read.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.pruning.graph.cut_out import put
from optkit.pruning.graph.groups import FLOATS, Groups, weight_axes
from optkit.pruning.graph.kept_rows import KeptRows, change_and_bias
from optkit.pruning.graph.moments import LARGEST, Halves, Moments, gather_errors
from optkit.pruning.graph.rows import groups_of, weight_from_rows, weight_rows, weights_per_output
from optkit.pruning.graph.transposed import followed
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.graphs import add_constant, constant_array, constant_tensor
from optkit.quantization.operators import is_standard

RIDGES = (0.001, 0.01, 0.1, 1.0)
"""Of the mean variance of the inputs."""
WIDEST = 1 << 19
"""Weights per output of a layer without groups that is solved from some rows: of so many, 256 are kept."""
FEWEST = 16
"""Examples for a stage; large inputs hold many rows each."""
REFITTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


@dataclass(frozen=True)
class Refitted:
    """How many layers were solved again, and which had fewer rows to learn from than weights per output."""

    layers: int
    short_of_rows: tuple[str, ...] = ()


def refit(pruned: ir.Model, original: ir.Model, groups: Groups, removed: Array, watcher: Watcher, *, work: int) -> Refitted:
    """Change the weights of `pruned` in place.

    Every stage is a run over examples: of `work`, the number of examples for all stages together, each gets its share. Layers behind each
    other are never solved at once, for both would make up for the same error.
    """
    stages = _stages(pruned, original)
    watcher = watcher.spread(max(FEWEST, work // max(len(stages), 1)))
    short: list[str] = []
    done = 0
    for number, stage in enumerate(stages):
        targets = {str(n.name): _kept_outputs(n, original, groups, removed) for n in stage}
        seen = gather_errors(pruned, stage, watcher, original, targets)
        for node in stage:
            found = seen.get(str(node.name))
            if found is not None and _solve(pruned, node, found):
                done += 1
                short += [str(node.name)] if found[0].count + found[1].count < weights_per_output(node) else []
        watcher.progress("refitting layers", number + 1, len(stages))
    return Refitted(done, tuple(short))


def _stages(pruned: ir.Model, original: ir.Model) -> list[list[ir.Node]]:
    """Layers in the order of the graph; those that do not read each other's results together. Layers before the first change stay."""
    twins = {str(n.name): n for n in original.graph}
    above: dict[ir.Value, set[str]] = {}
    changed: set[ir.Value] = set()
    stages: list[list[ir.Node]] = []
    for node in pruned.graph:
        before = set().union(*(above.get(v, set()) for v in node.inputs if v is not None))
        moved = any(v in changed for v in node.inputs if v is not None)
        twin = twins.get(str(node.name))
        if moved and twin is not None and _solvable(node):
            if not stages or before & {str(n.name) for n in stages[-1]}:
                stages.append([])
            stages[-1].append(node)
            before = before | {str(node.name)}
        shrunk = twin is None or any(_shape(a) != _shape(b) for a, b in zip(node.inputs, twin.inputs, strict=False))
        for value in node.outputs:
            above[value] = before
            if moved or shrunk:
                changed.add(value)
    return stages


def _shape(value: ir.Value | None) -> tuple[int, ...] | None:
    tensor = constant_tensor(value)
    return None if tensor is None else tuple(int(d) for d in tensor.shape.numpy())


def _solvable(node: ir.Node) -> bool:
    """A layer with a float weight of its own that reads a computed tensor."""
    if not is_standard(node) or node.op_type not in REFITTED or node.inputs[0] is None or constant_tensor(node.inputs[0]) is not None:
        return False
    weight = node.inputs[1]
    tensor = constant_tensor(weight)
    if weight is None or tensor is None or tensor.dtype not in FLOATS or len(list(weight.uses())) > 1 or not weight.is_initializer():
        return False
    if node.op_type == "Gemm" and any(node.attributes[a].value != 1 for a in ("alpha", "beta") if a in node.attributes):
        return False
    if node.op_type == "Gemm" and ("transA" in node.attributes and node.attributes["transA"].value):
        return False
    if node.op_type == "ConvTranspose" and not followed(node):
        return False
    shape = _shape(weight)
    assert shape is not None
    plain = node.op_type in ("Conv", "ConvTranspose") or len(shape) == 2
    return plain and weights_per_output(node) <= (WIDEST if groups_of(node) == 1 else LARGEST)


def _kept_outputs(node: ir.Node, original: ir.Model, groups: Groups, removed: Array) -> Array:
    """Which output channels of the original's layer are still there."""
    twin = next(n for n in original.graph if n.name == node.name)
    shape, (_, out) = _shape(twin.inputs[1]), weight_axes(twin)
    assert shape is not None
    assert out is not None
    units = groups.axes.get(str(twin.inputs[1].name), {}).get(out)  # type: ignore[union-attr]
    if units is None:
        return np.arange(_outputs(twin, shape))
    if (count := groups_of(twin)) > 1 and twin.op_type == "ConvTranspose":  # its weight has one row for each input; groups go as a whole
        units = np.repeat(units.reshape(count, -1)[:, 0], shape[1])
    return np.flatnonzero(~np.isin(units, removed))


def _outputs(node: ir.Node, shape: tuple[int, ...]) -> int:
    """Channels that a layer gives."""
    if node.op_type == "ConvTranspose":
        return shape[1] * groups_of(node)
    return shape[weight_axes(node)[1] or 0]


def _solve(model: ir.Model, node: ir.Node, seen: Halves) -> bool:
    """New weights and biases for one layer; False where what was seen is not finite."""
    weight = constant_array(node.inputs[1])
    assert weight is not None
    bias = bias_of(node)
    if bias is None and node.op_type != "MatMul":
        return False
    rows = weight_rows(node, weight.astype(np.float64), summed=True)
    found = _found(rows, seen, centred=bias is not None)
    if found is None:
        return False
    change, lacking = found
    put(node.inputs[1], weight_from_rows(node, rows + change, weight.shape, summed=True).astype(weight.dtype))  # type: ignore[arg-type]
    if bias is not None:
        _set_bias(model, node, bias, lacking, weight.dtype)
    return True


def _found(rows: Array, seen: Halves, *, centred: bool) -> tuple[Array, Array] | None:
    """What to add to the weights, and what the outputs lack on average afterwards; None where what was seen is not finite."""
    one, other = seen
    if isinstance(one, KeptRows) and isinstance(other, KeptRows):
        if not (one.finite() and other.finite()):
            return None
        change, lacking = change_and_bias(rows[0], one, other, RIDGES, centred=centred)
        return change[None], lacking
    assert isinstance(one, Moments)
    assert isinstance(other, Moments)
    both = one + other
    if not (np.isfinite(both.xx).all() and np.isfinite(both.yx).all()):
        return None
    form = Moments.centred if centred else Moments.raw
    change = best_change(rows, form(one), form(other), form(both))
    gives = np.einsum("gok,gk->go", rows + change, both.x) / both.count
    return change, (both.y / both.count - gives).reshape(-1)


def best_change(rows: Array, one: tuple[Array, Array], other: tuple[Array, Array], both: tuple[Array, Array]) -> Array:
    """What to add to the weights, learned from all moments with the ridge that serves each half best when learned from the other.

    Moments are (xx [group, K, K], yx [group, outputs, K]). Nothing is added where every ridge does harm.
    """
    scores = [sum(_gain(rows, _change(rows, learned, ridge), held) for learned, held in ((one, other), (other, one))) for ridge in RIDGES]
    best = int(np.argmax(scores))
    return _change(rows, both, RIDGES[best]) if scores[best] > 0 else np.zeros_like(rows)


def _change(rows: Array, moments: tuple[Array, Array], ridge: float) -> Array:
    """(yx − W xx)(xx + r I)⁻¹: the least change that meets y, as far as the ridge lets it."""
    xx, yx = moments
    size = xx.shape[-1]
    mean = np.trace(xx, axis1=1, axis2=2) / size
    damped = xx + (ridge * mean + 1e-12)[:, None, None] * np.eye(size)
    return np.asarray(np.linalg.solve(damped, (yx - rows @ xx).transpose(0, 2, 1)).transpose(0, 2, 1))


def _gain(rows: Array, change: Array, moments: tuple[Array, Array]) -> float:
    """How much less squared error the change leaves."""
    xx, yx = moments
    missing = yx - rows @ xx
    return float(2 * (change * missing).sum() - ((change @ xx) * change).sum())


def bias_of(node: ir.Node) -> tuple[ir.Node, int] | None:
    """Where the bias of a layer is, or would be: a node and an input of it. None where a MatMul has no addition behind it."""
    if node.op_type != "MatMul":
        return None if _odd_bias(node) else (node, 2)
    output = node.outputs[0]
    readers = list(output.uses())
    if len(readers) != 1 or output.is_graph_output() or readers[0].node.op_type != "Add":
        return None
    add, place = readers[0].node, 1 - readers[0].idx
    shape, made = _shape(add.inputs[place]), _shape(node.inputs[1])
    return (add, place) if shape is not None and made is not None and shape == made[-1:] else None


def _odd_bias(node: ir.Node) -> bool:
    """Computed, or not one number per output."""
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None:
        return False
    shape, made = _shape(value), _shape(node.inputs[1])
    return shape is None or made is None or shape != (_outputs(node, made),)


def _set_bias(model: ir.Model, node: ir.Node, where: tuple[ir.Node, int], rest: Array, dtype: np.dtype) -> None:
    """`rest` is what the layer's outputs lack on average without any bias; an addition behind a MatMul keeps what it had, too."""
    holder, place = where
    held = constant_array(holder.inputs[place]) if len(holder.inputs) > place else None
    numbers = rest if holder is node else rest + (0 if held is None else held)
    value = add_constant(model.graph, f"{node.name}_refitted_bias", numbers.astype(dtype))
    if len(holder.inputs) <= place:
        holder.resize_inputs(place + 1)
    holder.replace_input_with(place, value)
