"""Integers that somebody else chose, put into a graph that holds the floats they stand for: found by those floats, never guessed."""

import hashlib
from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.errors import ModelError
from optkit.quantization.blocks.blocked import Blocked
from optkit.quantization.blocks.insert_packed import insert_packed
from optkit.quantization.blocks.layers import Reader, find_weights
from optkit.quantization.graphs import all_graphs, constant_array, forget_shapes, prune_unused, share_names


def take_over(model: ir.Model, layers: Mapping[str, Blocked], level: int) -> tuple[ir.Model, dict[str, Blocked]]:
    """The graph with MatMulNBits for the products that read what `layers` (by any name) stand for, and those layers by name of the node.

    `model` is not changed. `level` is ONNX Runtime's accuracy level, for 8-bit weights too. Raises ModelError where the floats of a layer
    are not in the graph exactly, or its integers are not held there exactly.
    """
    made = model.clone()
    share_names(made)
    wanted = {_digest(held.real()): name for name, held in layers.items()}
    weights = [w for w in find_weights(made, tables=False) if all(use.reader is not Reader.GATHER for use in w.uses)]
    found = {weight.name: wanted[key] for weight in weights if (key := _digest(weight.rows())) in wanted}
    lacking = [name for key, name in wanted.items() if name not in found.values()]
    if lacking:
        shown = ", ".join(sorted(lacking)[:3])
        hint = "name these layers in `exclude`"
        raise ModelError(f"{len(lacking)} of {len(wanted)} layers are not in the exported model as they are: {shown}", hint=hint)
    blocked = {weight: layers[name] for weight, name in found.items()}
    taken = {str(use.node.name): blocked[w.name] for w in weights if w.name in blocked for use in w.uses}
    insert_packed(made, [w for w in weights if w.name in blocked], blocked, level)
    prune_unused(made)
    forget_shapes(made)
    for node in (node for graph in all_graphs(made) for node in graph if node.op_type == "MatMulNBits"):
        node.attributes["accuracy_level"] = ir.AttrInt64("accuracy_level", level)
    check_held(made, taken)
    return made, taken


def check_held(model: ir.Model, layers: Mapping[str, Blocked]) -> None:
    """Whether the MatMulNBits nodes hold exactly these integers, scales and zero points, read back from their bytes.

    Raises ModelError, naming the first that does not.
    """
    nodes = {str(node.name): node for graph in all_graphs(model) for node in graph if node.op_type == "MatMulNBits"}
    for name, held in layers.items():
        node = nodes.get(name)
        if node is None or not _holds(node, held):
            raise ModelError(
                "it does not hold the integers that were chosen", where=name, hint="please report this: it is a mistake in optkit"
            )


def _holds(node: ir.Node, held: Blocked) -> bool:
    rows, inputs = held.integers.shape
    bits, size = held.scheme.bits, held.scheme.size
    attributes = {key: node.attributes[key].as_int() for key in ("K", "N", "bits", "block_size")}
    if attributes != {"K": inputs, "N": rows, "bits": bits, "block_size": size}:
        return False
    packed, scales, zeros = (constant_array(value) for value in (*node.inputs[1:3], node.inputs[3] if len(node.inputs) > 3 else None))
    assert packed is not None
    assert scales is not None
    groups = held.scales.shape[1]
    points = np.full((rows, groups), held.scheme.middle) if zeros is None else unpacked(zeros.reshape(rows, -1), bits)[:, :groups]
    return bool(
        np.array_equal(unpacked(packed.reshape(rows, -1), bits)[:, :inputs], held.integers)
        and np.array_equal(scales.reshape(rows, groups).astype(np.float32), held.scales)
        and np.array_equal(points, held.zeros)
    )


def unpacked(packed: Array, bits: int) -> Array:
    """[rows, bytes] → [rows, integers]: the lower half of a byte comes first."""
    if bits == 8:
        return packed
    return np.stack([packed % 16, packed // 16], axis=-1).reshape(len(packed), -1)


def _digest(rows: Array) -> bytes:
    """Of float32 [rows, inputs]; zero has no sign."""
    return hashlib.sha256(str(rows.shape).encode() + np.ascontiguousarray(rows + np.float32(0)).tobytes()).digest()
