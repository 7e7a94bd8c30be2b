"""Follow a model from its inputs to its outputs without running it, through branches, loops and functions, and note what is on the way."""

from collections import ChainMap, Counter
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx

from optkit.inspection.fold import CHANCE, Folding
from optkit.inspection.macs import macs_of
from optkit.inspection.shapes import STANDARD, output_types
from optkit.inspection.stored import constant_value, numbers_in_attributes, sparse_value, tensor_value
from optkit.inspection.values import (
    NO_TYPE,
    UNKNOWN,
    Stored,
    Value,
    dims_of,
    either,
    element_type,
    from_array,
    stacked,
    tensor_type,
    varying,
    without_axis,
)

Scope = MutableMapping[str, Value]

FORM_ONLY = frozenset({"Shape", "Size", "ConstantOfShape"})
"""Operators whose output holds none of the numbers of its input."""

LONGEST_LOOP = 10**6
"""Loops without an end are written with the largest integer as their trip count."""


@dataclass
class Visit:
    """One node on the way, with what is known of its inputs and outputs."""

    node: onnx.NodeProto
    inputs: Sequence[Value | None]
    outputs: Sequence[Value]
    times: int
    """How often it runs in one inference; 0 in a branch that is not taken."""
    macs: int | None
    """Of one run; None where it cannot be told."""
    nested: bool
    """It is inside a branch or a loop."""


@dataclass
class Walk:
    """Everything met on the way."""

    model: onnx.ModelProto
    folder: Path
    """Where external data lies."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Named dimensions."""
    visits: list[Visit] = field(default_factory=list)
    stored: dict[str, Stored] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.folding = Folding()
        self.functions = {(f.domain, f.name): f for f in self.model.functions}
        self.opsets = {("" if o.domain in STANDARD else o.domain): o.version for o in self.model.opset_import}

    def start(self, inputs: Mapping[str, Value]) -> None:
        """Walk the whole model with its inputs as given."""
        self._graph(self.model.graph, dict(inputs), "", 1)

    def _graph(self, graph: onnx.GraphProto, scope: Scope, place: str, times: int) -> list[Value]:
        packed = dict(_packed_weights(graph))
        for tensor in graph.initializer:
            scope[tensor.name] = self._keep(tensor_value(tensor, f"{place}{tensor.name}", self.folder, packed.get(tensor.name)))
        for sparse in graph.sparse_initializer:
            scope[sparse.values.name] = self._keep(sparse_value(sparse, f"{place}{sparse.values.name}"))
        self._nodes(graph.node, scope, place, times, {v.name: v.type for v in (*graph.value_info, *graph.output)})
        return [scope.get(each.name, UNKNOWN) for each in graph.output]

    def _nodes(self, nodes: Sequence[onnx.NodeProto], scope: Scope, place: str, times: int, declared: Mapping[str, onnx.TypeProto]) -> None:
        for number, node in enumerate(nodes):
            inputs = [scope.get(name, UNKNOWN) if name else None for name in node.input]
            outputs = self._node(node, inputs, scope, f"{place}{number}/", times)
            for name, value in zip(node.output, outputs, strict=True):
                if name:
                    scope[name] = replace(value, type=self._refined(value.type, declared.get(name, NO_TYPE)))

    def _node(self, node: onnx.NodeProto, inputs: Sequence[Value | None], scope: Scope, place: str, times: int) -> list[Value]:
        function = self.functions.get((node.domain, node.op_type))
        if function is not None:
            return self._call(function, node, inputs, times)
        if node.op_type == "Constant" and node.domain in STANDARD:
            outputs = [self._keep(constant_value(node, place, self.folder))]
        else:
            outputs = self._ordinary(node, inputs, place)
        # noted before what is inside it, so that operators come in the order of the file
        self.visits.append(visit := Visit(node, inputs, outputs, times, 0, isinstance(scope, ChainMap)))
        if node.op_type in BODIES and node.domain in STANDARD:
            visit.outputs = outputs = BODIES[node.op_type](self, node, inputs, scope, place, times)
        else:
            visit.macs = macs_of(node, inputs, outputs)
            for name, body in bodies_of(node):
                self._graph(body, ChainMap({}, scope), f"{place}{name}/", times)
        return list(outputs)

    def _ordinary(self, node: onnx.NodeProto, inputs: Sequence[Value | None], place: str) -> list[Value]:
        if node.domain == "ai.onnx.ml":
            for each in numbers_in_attributes(node, place):
                self.stored[each.key] = each
        types = output_types(node, inputs, self.opsets)
        arrays = self.folding.compute(node, inputs, types, self.opsets.get("", 1))
        known = [value for value in inputs if value is not None]
        constant = bool(known) and all(value.constant for value in known) and node.op_type not in CHANCE
        moved = constant and node.op_type not in FORM_ONLY
        made_of = frozenset().union(*(value.made_of for value in known)) if moved else frozenset()
        through = frozenset({node.op_type}).union(*(value.through for value in known)) if moved else frozenset()
        facts = Value(constant=constant, made_of=made_of, through=through, made_by=node.op_type)
        if arrays is not None:
            return [replace(facts, type=from_array(a).type, data=a) for a in arrays]
        return [replace(facts, type=kind) for kind in types]

    def _keep(self, value: Value) -> Value:
        self.stored.update({each.key: each for each in value.made_of})
        return value

    def _refined(self, found: onnx.TypeProto, declared: onnx.TypeProto) -> onnx.TypeProto:
        """What was worked out, completed from what the file declares."""
        if declared.WhichOneof("value") != "tensor_type" or not declared.tensor_type.HasField("shape"):
            return found if found.WhichOneof("value") else declared
        mine = dims_of(found)
        if mine is not None and None not in mine:
            return found
        theirs = [d.dim_value if d.HasField("dim_value") else self.sizes.get(d.dim_param) for d in declared.tensor_type.shape.dim]
        if mine is not None and len(mine) == len(theirs):
            theirs = [b if a is None else a for a, b in zip(mine, theirs, strict=True)]
        return tensor_type(element_type(found) or element_type(declared), theirs if mine is None or len(mine) == len(theirs) else mine)

    def _call(self, function: onnx.FunctionProto, node: onnx.NodeProto, inputs: Sequence[Value | None], times: int) -> list[Value]:
        scope: Scope = {name: value for name, value in zip(function.input, inputs, strict=False) if value is not None}
        given = {a.name: a for a in function.attribute_proto} | {a.name: a for a in node.attribute}
        outside, self.opsets = (
            self.opsets,
            self.opsets | {("" if o.domain in STANDARD else o.domain): o.version for o in function.opset_import},
        )
        body = [_with_attributes(each, given) for each in function.node]
        self._nodes(body, scope, f"{function.domain}::{function.name}/", times, {v.name: v.type for v in function.value_info})
        self.opsets = outside
        found = [scope.get(name, UNKNOWN) for name in function.output]
        return (found + [UNKNOWN] * len(node.output))[: len(node.output)]

    def _if(self, node: onnx.NodeProto, inputs: Sequence[Value | None], scope: Scope, place: str, times: int) -> list[Value]:
        condition = inputs[0] if inputs else None
        taken = None if condition is None or condition.data is None else bool(condition.data.any())
        results, costs, spans = [], [], []
        for name, body in sorted(bodies_of(node), reverse=True):  # then before else
            runs = times if taken is None or taken == (name == "then_branch") else 0
            first = len(self.visits)
            results.append(self._graph(body, ChainMap({}, scope), f"{place}{name}/", runs))
            spans.append(self.visits[first:])
            costs.append(sum((v.macs or 0) * v.times for v in spans[-1]))
        if taken is not None or len(results) != 2:
            return results[0 if taken or len(results) == 1 else 1]
        if costs[0] != costs[1]:
            self.notes["the condition of an If depends on the data: its dearer branch is counted"] += 1
        for visit in spans[costs.index(min(costs))]:
            visit.times = 0
        return [either(a, b) for a, b in zip(*results, strict=True)]

    def _loop(self, node: onnx.NodeProto, inputs: Sequence[Value | None], scope: Scope, place: str, times: int) -> list[Value]:
        (_, body), *_ = bodies_of(node)
        most = inputs[0].data if inputs and inputs[0] is not None else None
        trips = int(most.flat[0]) if most is not None and most.size and most.flat[0] <= LONGEST_LOOP else None
        if trips is None:
            self.notes["the length of a Loop depends on the data: one round is counted"] += 1
        carried = [value or UNKNOWN for value in inputs[2:]]
        given = [Value(tensor_type(onnx.TensorProto.INT64, ())), Value(tensor_type(onnx.TensorProto.BOOL, ())), *map(varying, carried)]
        inner = ChainMap({each.name: value for each, value in zip(body.input, given, strict=False)}, scope)
        results = self._graph(body, inner, f"{place}body/", times * (1 if trips is None else trips))[1:]
        rest = [stacked(value, trips) for value in results[len(carried) :]]
        return ([either(a, b) for a, b in zip(carried, results, strict=False)] + rest + [UNKNOWN] * len(node.output))[: len(node.output)]

    def _scan(self, node: onnx.NodeProto, inputs: Sequence[Value | None], scope: Scope, place: str, times: int) -> list[Value]:
        (_, body), *_ = bodies_of(node)
        inputs = inputs[1:] if self.opsets.get("", 1) < 9 else inputs
        count = next(a.i for a in node.attribute if a.name == "num_scan_inputs")
        axes = next((list(a.ints) for a in node.attribute if a.name == "scan_input_axes"), [0] * count)
        states = [value or UNKNOWN for value in inputs[: len(inputs) - count]]
        rows = [without_axis(v or UNKNOWN, axis) for v, axis in zip(inputs[len(inputs) - count :], axes, strict=False)]
        length = next((n for _, n in rows if n is not None), None)
        if length is None:
            self.notes["the length of a Scan is not known: one round is counted"] += 1
        given = [*map(varying, states), *(value for value, _ in rows)]
        inner = ChainMap({each.name: value for each, value in zip(body.input, given, strict=False)}, scope)
        results = self._graph(body, inner, f"{place}body/", times * (1 if length is None else length))
        rest = [stacked(value, length) for value in results[len(states) :]]
        return ([either(a, b) for a, b in zip(states, results, strict=False)] + rest + [UNKNOWN] * len(node.output))[: len(node.output)]


BODIES = {"If": Walk._if, "Loop": Walk._loop, "Scan": Walk._scan}


def bodies_of(node: onnx.NodeProto) -> Iterator[tuple[str, onnx.GraphProto]]:
    for a in node.attribute:
        if a.type == onnx.AttributeProto.GRAPH:
            yield a.name, a.g
        for k, graph in enumerate(a.graphs):
            yield f"{a.name}{k}", graph


def _packed_weights(graph: onnx.GraphProto) -> Iterator[tuple[str, int]]:
    """Initializers that hold several weights in a byte, and how many they hold."""
    for node in graph.node:
        if node.op_type == "MatMulNBits" and len(node.input) > 1:
            sizes = {a.name: a.i for a in node.attribute}
            yield node.input[1], sizes.get("K", 0) * sizes.get("N", 0)


def _with_attributes(node: onnx.NodeProto, given: Mapping[str, onnx.AttributeProto]) -> onnx.NodeProto:
    """A node of a function with the attributes that its call gives."""
    if not any(a.ref_attr_name or a.type == onnx.AttributeProto.GRAPH for a in node.attribute):
        return node
    filled = onnx.NodeProto()
    filled.CopyFrom(node)
    del filled.attribute[:]
    for a in node.attribute:
        if a.ref_attr_name and a.ref_attr_name not in given:
            continue
        filled.attribute.add().CopyFrom(given[a.ref_attr_name] if a.ref_attr_name else a)
        filled.attribute[-1].name = a.name
        if a.type == onnx.AttributeProto.GRAPH:
            inside = filled.attribute[-1].g
            nodes = [_with_attributes(each, given) for each in a.g.node]
            del inside.node[:]
            inside.node.extend(nodes)
    return filled
