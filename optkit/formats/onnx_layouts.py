"""Transposes that only lead out of a convolution's layout and back into it: graphs of frameworks that keep channels last have two a layer.

Each is moved down through what works element by element, pads, joins or averages, until it meets the one that undoes it. ONNX Runtime
does much of this when it loads a model; here it lets constants reach the weights of the convolution before them.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from optkit.formats.onnx_constants import add_constant

PLAIN = ("", "ai.onnx")
ELEMENTWISE = frozenset(
    {"Abs", "Add", "Cast", "Ceil", "Clip", "Div", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity"}
    | {"LeakyRelu", "Log", "Max", "Min", "Mish", "Mul", "Neg", "Pow", "PRelu", "Reciprocal", "Relu", "Selu", "Sigmoid", "Softplus"}
    | {"Softsign", "Sqrt", "Sub", "Sum", "Tanh"}
)
FIRST = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool", "BatchNormalization"})
"""What has a layout of its own: Transposes behind these are moved, others mean something else."""


def without_layout_changes(model: ir.Model) -> ir.Model:
    """A copy with fewer Transposes, or the model itself where none can be saved."""
    before = _count(model)
    if before < 2:
        return model
    tried = model.clone()
    for graph in tried.graphs():
        moved: set[ir.Node] = set()
        for node in list(graph):
            if node.op_type == "Transpose" and node.domain in PLAIN:
                _join(graph, node)
            elif perm := _shared_perm(node, moved):
                _move(graph, node, perm, moved)
        for node in reversed(list(graph)):
            if all(not v.uses() and not v.is_graph_output() for v in node.outputs):
                graph.remove(node, safe=True)
    return tried if _count(tried) < before else model


def _count(model: ir.Model) -> int:
    return sum(node.op_type == "Transpose" for graph in model.graphs() for node in graph)


def _perm(node: ir.Node | None) -> tuple[int, ...] | None:
    if node is None or node.op_type != "Transpose" or node.domain not in PLAIN or "perm" not in node.attributes:
        return None
    return tuple(node.attributes["perm"].as_ints())


def _join(graph: ir.Graph, node: ir.Node) -> None:
    """A Transpose of a Transpose is one, or none."""
    source, outer = node.inputs[0], _perm(node)
    maker = source.producer() if source is not None else None
    inner = _perm(maker)
    if maker is None or outer is None or inner is None or maker.graph is not graph:
        return
    both = [inner[axis] for axis in outer]
    if both != sorted(both):
        node.replace_input_with(0, maker.inputs[0])
        node.attributes["perm"] = ir.AttrInt64s("perm", both)
    elif maker.inputs[0] is not None:
        _replace(node.outputs[0], maker.inputs[0])


def _replace(old: ir.Value, new: ir.Value) -> None:
    if not old.is_graph_output():
        old.replace_all_uses_with(new)
    elif not (new.is_graph_output() or new.is_graph_input() or new.is_initializer()):
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        new.name, old.name = old.name, f"{old.name}_before"


def _shared_perm(node: ir.Node, moved: set[ir.Node]) -> tuple[int, ...] | None:
    """The permutation that all values a node reads come out of, if the node can work before it as well."""
    if node.domain not in PLAIN or len(node.outputs) != 1 or node.op_type not in ELEMENTWISE | {"Concat", "Pad", "ReduceMean"}:
        return None
    perms = set()
    for place, value in enumerate(node.inputs):
        maker = value.producer() if value is not None else None
        perm = _perm(maker)
        if perm is not None and maker is not None and maker.graph is node.graph and _from_layout(maker, moved):
            perms.add(perm)
        elif value is not None and not (value.is_initializer() and not value.is_graph_input() and _fits(node, place, value)):
            return None
    return perms.pop() if len(perms) == 1 and _perm(_maker(node)) is not None else None


def _maker(node: ir.Node) -> ir.Node | None:
    """What makes a node's first input, or the first that is not constant."""
    return next((v.producer() for v in node.inputs if v is not None and v.producer() is not None), None)


def _from_layout(transpose: ir.Node, moved: set[ir.Node]) -> bool:
    source = transpose.inputs[0]
    maker = source.producer() if source is not None else None
    return maker is not None and (maker in moved or (maker.op_type in FIRST and maker.domain in PLAIN))


def _fits(node: ir.Node, place: int, value: ir.Value) -> bool:
    """Whether a constant input can be brought to the other layout; what says bounds and axes is the same in each."""
    if node.op_type in ("Pad", "Clip", "ReduceMean"):
        return place > 0 and (node.op_type != "Pad" or len(node.inputs) < 4)
    return node.op_type in ELEMENTWISE and value.const_value is not None


def _move(graph: ir.Graph, node: ir.Node, perm: Sequence[int], moved: set[ir.Node]) -> None:
    """Let a node work before the Transpose that it comes after."""
    kept, axes = True, _axes(node)
    if axes is not None:
        kept = bool(node.attributes["keepdims"].as_int()) if "keepdims" in node.attributes else True
        rest = [perm[i] for i in range(len(perm)) if i not in [a % len(perm) for a in axes]]
        if not kept and rest != sorted(rest):
            return
        _set_axes(graph, node, [perm[axis % len(perm)] for axis in axes])
    elif node.op_type == "ReduceMean":
        return
    for place, value in enumerate(node.inputs):
        if value is None:
            continue
        if (maker := value.producer()) is not None:
            node.replace_input_with(place, maker.inputs[0])
        elif node.op_type == "Pad" and place == 1:
            pads = value.const_value.numpy().reshape(2, -1)  # type: ignore[union-attr]
            node.replace_input_with(place, add_constant(graph, f"{value.name}_moved", pads[:, np.argsort(perm)].reshape(-1)))
        elif node.op_type in ELEMENTWISE and node.op_type != "Clip":
            array = value.const_value.numpy()  # type: ignore[union-attr]
            if array.size > 1:
                full = array.reshape((1,) * (len(perm) - array.ndim) + array.shape)
                node.replace_input_with(
                    place, add_constant(graph, f"{value.name}_moved", np.ascontiguousarray(full.transpose(np.argsort(perm))))
                )
    if node.op_type == "Concat":
        axis = node.attributes["axis"].as_int() % len(perm)
        node.attributes["axis"] = ir.AttrInt64("axis", perm[axis])
    moved.add(node)
    if kept:
        _put_behind(graph, node, perm)


def _put_behind(graph: ir.Graph, node: ir.Node, perm: Sequence[int]) -> None:
    old = node.outputs[0]
    behind = ir.node("Transpose", [old], {"perm": list(perm)}, name=f"{node.name}_layout")
    graph.insert_after(node, behind)
    new = behind.outputs[0]
    new.type, new.shape = old.type, old.shape
    for use in list(old.uses()):
        if use.node is not behind:
            use.node.replace_input_with(use.idx, new)
    for place, value in enumerate(graph.outputs):
        if value is old:
            graph.outputs[place] = new
    new.name, old.name = old.name, f"{old.name}_before"
    old.shape = None if old.shape is None else ir.Shape([old.shape[i] for i in np.argsort(perm)])


def _axes(node: ir.Node) -> list[int] | None:
    if node.op_type != "ReduceMean":
        return None
    if "axes" in node.attributes:
        return list(node.attributes["axes"].as_ints())
    given = node.inputs[1] if len(node.inputs) > 1 else None
    return None if given is None or given.const_value is None else [int(a) for a in given.const_value.numpy().reshape(-1)]


def _set_axes(graph: ir.Graph, node: ir.Node, axes: list[int]) -> None:
    if "axes" in node.attributes:
        node.attributes["axes"] = ir.AttrInt64s("axes", sorted(axes))
    elif node.inputs[1] is not None:
        node.replace_input_with(1, add_constant(graph, f"{node.inputs[1].name}_moved", np.array(sorted(axes), np.int64)))
