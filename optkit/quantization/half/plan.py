"""Which nodes compute in float16. Everything that can, except where its range or its precision is known not to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from optkit.quantization.graphs import constant_tensor
from optkit.quantization.half.constants import look_at
from optkit.quantization.half.operators import (
    CARRYING,
    EXACT,
    NORMALIZING,
    PASSING_ON,
    PRECISE,
    QUANTIZED,
    SATURATING,
    SQUASHING,
)
from optkit.quantization.half.slots import Slots, fill_types, slots_of

FEW = 16
"""Numbers: a mean and a deviation per colour, an epsilon; more are weights."""
SOME = 1024
"""Numbers: the frequencies that positions are multiplied with."""


@dataclass
class HalfPlan:
    """The nodes that compute in float16, with what becomes float16 of each, and why others do not."""

    slots: dict[ir.Node, Slots] = field(default_factory=dict)
    out_of_range: set[str] = field(default_factory=set)
    """Values that float16 cannot hold."""
    kept: dict[ir.Node, Slots] = field(default_factory=dict)
    """Nodes left in float32 that could be float16."""


def plan_half(
    model: ir.Model, out_of_range: frozenset[str] = frozenset(), keep: frozenset[str] = frozenset(), careful: bool = False
) -> HalfPlan:
    """Decide for every node, branches and loop bodies included. `keep` names operators that stay in float32."""
    fill_types(model)
    planner = _Planner(model.opset_imports, keep | PRECISE | (NORMALIZING if careful else frozenset()))
    planner.plan.out_of_range |= out_of_range
    planner.visit(model.graph)
    return planner.plan


class _Planner:
    def __init__(self, opsets: Mapping[str, int], precise: frozenset[str]) -> None:
        self.plan = HalfPlan()
        self.opsets = opsets
        self.precise = precise
        self.stay: set[ir.Value] = set()
        """Float32 that was left so on purpose: small operators on it stay float32 too, which saves casts and keeps bits."""
        self.answers: set[ir.Node] = set()
        """What gives probabilities to an output."""
        self.counted: set[ir.Value] = set()
        """Of these, what was computed from integers alone: positions, lengths, masks."""

    def visit(self, graph: ir.Graph) -> None:
        self.stay.update(value for value in graph.inputs if is_float(value))
        self.answers |= _answering(graph)
        for node in graph:
            for attr in node.attributes.values():
                for body in _bodies(attr):
                    self.visit(body)
            self._decide(node)

    def _decide(self, node: ir.Node) -> None:
        slots = slots_of(node, self.opsets)
        data = [v for v in node.inputs if v is not None and is_float(v) and constant_tensor(v) is None]
        if slots is not None and self._half(node, slots, data):
            self.plan.slots[node] = slots
            return
        if slots is not None and any(is_float(v) for v in node.outputs) and node.op_type not in EXACT:
            self.plan.kept[node] = slots
        self.stay.update(v for v in node.outputs if is_float(v))
        if all(v in self.counted for v in data) and not _has_graphs(node) and node.domain == "":
            self.counted.update(v for v in node.outputs if is_float(v))

    def _half(self, node: ir.Node, slots: Slots, data: Sequence[ir.Value]) -> bool:
        floats = [v for v, may in zip(node.inputs, slots.inputs, strict=True) if may and v is not None and is_float(v)]
        constants = [v for v in floats if constant_tensor(v) is not None]
        if any(v is not None and v.dtype is None for v in node.inputs) or any(v.name and v.dtype is None for v in node.outputs):
            return False  # an unknown operator made it, and of what type it is, is unknown too
        if not floats and not any(is_float(v) for v, may in zip(node.outputs, slots.outputs, strict=True) if may):
            return False
        if self._leaves_range(node, floats, constants):
            return False
        if node.op_type in EXACT or node.op_type in self.precise or node in self.answers or _beside_quantized(node):
            return False
        if node.op_type == "Div" and len(node.inputs) == 2 and node.inputs[1] in self.stay:
            return False  # a small divisor would become zero
        follows = bool(data) and all(v in self.stay for v in data)
        most = SOME if all(v in self.counted for v in data) else FEW
        return not (follows and all(_size(v) <= most for v in constants))

    def _leaves_range(self, node: ir.Node, floats: Sequence[ir.Value], constants: Sequence[ir.Value]) -> bool:
        wide = self.plan.out_of_range
        carried = any(v.name in wide for v in floats)
        unfit = node.op_type not in SATURATING and any(look_at(v).overflows for v in constants)
        if (carried or unfit) and node.op_type in CARRYING:
            wide.update(str(v.name) for v in node.outputs if is_float(v))
        lost = any(look_at(v).vanishes or look_at(v).blurs for v in constants)
        return carried or unfit or lost or any(v.name in wide for v in node.outputs)


def is_float(value: ir.Value) -> bool:
    return value.dtype == ir.DataType.FLOAT and not isinstance(value.type, (ir.SequenceType, ir.OptionalType))


def _size(value: ir.Value) -> int:
    tensor = constant_tensor(value)
    return 0 if tensor is None else tensor.size


def _answering(graph: ir.Graph) -> set[ir.Node]:
    """Nodes that squash scores to probabilities, with nothing but rearranging between them and an output of the graph."""
    found: set[ir.Node] = set()
    seen: set[ir.Node] = set()
    ahead = [value.producer() for value in graph.outputs]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen or node.graph is not graph:
            continue
        seen.add(node)
        if node.op_type in SQUASHING:
            found.add(node)
        elif node.op_type in PASSING_ON:
            ahead += [value.producer() for value in node.inputs if value is not None]
    return found


def _beside_quantized(node: ir.Node) -> bool:
    """Runtimes fuse Q/DQ with the operator between them only while nothing stands between."""
    before = (v.producer() for v in node.inputs if v is not None)
    after = (user for v in node.outputs for user, _ in v.uses())
    return any(n is not None and n.op_type in QUANTIZED for n in (*before, *after))


def _has_graphs(node: ir.Node) -> bool:
    return any(_bodies(attr) for attr in node.attributes.values())


def _bodies(attr: ir.Attr) -> Sequence[ir.Graph]:
    if attr.is_ref():
        return ()
    if attr.type == ir.AttributeType.GRAPH:
        return (attr.as_graph(),)
    return tuple(attr.as_graphs()) if attr.type == ir.AttributeType.GRAPHS else ()
