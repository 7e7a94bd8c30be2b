"""Sizes that a graph works out when it runs though they are known: exporters ask for height and width where only the batch is open."""

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

PLAIN = ("", "ai.onnx")


def fold_known_sizes(model: ir.Model) -> int:
    """Replace what is picked from a Shape, where those sizes are known, by constants, in place; returns how many."""
    if not any(_asked(node) for graph in model.graphs() for node in graph):
        return 0
    common.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
    return sum(_fold(graph, reader, sizes) for graph in model.graphs() for node in list(graph) for reader, sizes in _readers(node))


def _asked(node: ir.Node) -> bool:
    return _is(node, "Shape") and any(_is(use.node, "Gather", "Slice") for use in node.outputs[0].uses())


def _is(node: ir.Node, *kinds: str) -> bool:
    return node.op_type in kinds and node.domain in PLAIN


def _readers(node: ir.Node) -> list[tuple[ir.Node, list[int]]]:
    """Each node that picks from a Shape in the same graph, and the known sizes that it picks, where all are."""
    source = node.inputs[0] if _is(node, "Shape") else None
    if source is None or source.shape is None:
        return []
    begin, end = (node.attributes[name].as_int() if name in node.attributes else None for name in ("start", "end"))
    sizes = list(source.shape)[begin:end]
    found = []
    for use in node.outputs[0].uses():
        picked = _picked(use.node, sizes) if use.idx == 0 and use.node.graph is node.graph else None
        if picked is not None and all(isinstance(size, int) for size in picked):
            found.append((use.node, [int(str(size)) for size in picked]))
    return found


def _picked(reader: ir.Node, sizes: list[int | ir.SymbolicDim]) -> list[int | ir.SymbolicDim] | None:
    numbers = [_numbers(v) for v in reader.inputs[1:]]
    if any(each is None for each in numbers):
        return None
    if _is(reader, "Gather"):
        return [sizes[i] for i in numbers[0] if -len(sizes) <= i < len(sizes)] if numbers else None  # type: ignore[union-attr]
    if not _is(reader, "Slice") or len(numbers) < 2 or any(len(each) != 1 for each in numbers if each is not None):
        return None
    start, stop, _, step = [each[0] for each in numbers if each is not None] + [0, 1][len(numbers) - 2 :]
    return sizes[start:stop:step] if step > 0 else None


def _numbers(value: ir.Value | None) -> list[int] | None:
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return [int(n) for n in value.const_value.numpy().reshape(-1)]


def _fold(graph: ir.Graph, reader: ir.Node, sizes: list[int]) -> bool:
    old = reader.outputs[0]
    indices = reader.inputs[1].const_value if _is(reader, "Gather") and reader.inputs[1] is not None else None
    shape = indices.shape.numpy() if indices is not None else (len(sizes),)
    if old.is_graph_output() or int(np.prod(shape)) != len(sizes):
        return False
    tensor = ir.tensor(np.array(sizes, np.int64).reshape(shape), name=f"{old.name}_known")
    new = ir.Value(name=tensor.name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(shape), const_value=tensor)
    graph.register_initializer(new)
    old.replace_all_uses_with(new)
    return True
