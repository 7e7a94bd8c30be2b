"""Carry out a HalfPlan: weights in float16, and a Cast wherever float16 meets float32."""

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.formats.onnx_simplify import remove_unused
from optkit.quantization.graphs import all_graphs, constant_array, constant_tensor, fresh_name, graph_of
from optkit.quantization.half.constants import AT_ONCE, let_go, look_at
from optkit.quantization.half.operators import LARGEST
from optkit.quantization.half.plan import SOME, HalfPlan, is_float

HALF = ir.DataType.FLOAT16
FLOAT = ir.DataType.FLOAT
EXACT_SOURCES = frozenset(
    {
        HALF,
        ir.DataType.BOOL,
        ir.DataType.INT8,
        ir.DataType.UINT8,
        ir.DataType.INT16,
        ir.DataType.UINT16,
        ir.DataType.INT32,
        ir.DataType.INT64,
    }
)
"""A Cast from these to float32 and on to float16 is one Cast."""


def cast_half(model: ir.Model, plan: HalfPlan, ports_too: bool = False) -> None:
    """Rewrite `model` in place. Its inputs and outputs stay float32 unless `ports_too`; those of branches and loop bodies always do."""
    _Caster(model, plan).run(ports_too)
    _join_casts(model)
    remove_unused(model)


class _Caster:
    def __init__(self, model: ir.Model, plan: HalfPlan) -> None:
        self.model = model
        self.plan = plan
        self.halves: dict[ir.Value, ir.Value] = {}
        """Float32 constants and their float16 twins."""
        self.casts: dict[tuple[ir.Value, ir.DataType, ir.Graph], ir.Value] = {}

    def run(self, ports_too: bool) -> None:
        graphs = list(all_graphs(self.model))
        nodes = [node for graph in graphs for node in graph]
        uses = [(node, i, v) for node in nodes for i, v in enumerate(node.inputs) if v is not None and is_float(v)]
        given = [(graph, i, v) for graph in graphs for i, v in enumerate(graph.outputs) if is_float(v)]
        if ports_too:
            for value in self.model.graph.inputs:
                if is_float(value) and not value.is_initializer():
                    value.type = ir.TensorType(HALF)  # a new type: clones of a model share theirs
        for node, slots in self.plan.slots.items():
            for value, may in zip(node.outputs, slots.outputs, strict=True):
                if may and is_float(value):
                    value.type = ir.TensorType(HALF)
        for node, i, value in uses:
            self._feed(node, i, value)
        for graph, i, value in given:
            self._give(graph, i, value, HALF if ports_too and graph is self.model.graph else FLOAT)

    def _feed(self, node: ir.Node, i: int, value: ir.Value) -> None:
        """Make input `i` of a node, which was float32, what the plan wants."""
        slots = self.plan.slots.get(node)
        wanted = HALF if slots is not None and slots.inputs[i] else FLOAT
        tensor = constant_tensor(value)
        if tensor is not None:
            kept = self.plan.kept.get(node)
            if wanted == HALF:
                node.replace_input_with(i, self._half_of(value))
            elif kept is not None and kept.inputs[i] and tensor.size > SOME and not (look_at(value).overflows or look_at(value).blurs):
                node.replace_input_with(i, self._cast(self._half_of(value), FLOAT, node))
        elif value.dtype != wanted:
            node.replace_input_with(i, self._cast(value, wanted, node))

    def _half_of(self, value: ir.Value) -> ir.Value:
        if value not in self.halves:
            array = constant_array(value)
            home = value.graph
            assert array is not None
            assert isinstance(home, ir.Graph)
            bounded = _halved(array)
            del array
            let_go(value)
            name = fresh_name(self.model.graph, f"{value.name}_half")
            tensor = ir.tensor(bounded, name=name)
            twin = ir.Value(name=name, type=ir.TensorType(HALF), shape=ir.Shape(bounded.shape), const_value=tensor)
            home.register_initializer(twin)
            self.halves[value] = twin
        return self.halves[value]

    def _cast(self, value: ir.Value, to: ir.DataType, user: ir.Node) -> ir.Value:
        """`value` as `to`, cast once in each graph that wants it so."""
        graph = graph_of(user)
        key = (value, to, graph)
        if key not in self.casts:
            producer = value.producer()
            here = producer is not None and producer.graph is graph
            self.casts[key] = self._new_cast(value, to, producer if here and producer is not None else graph[0], after=here)
        return self.casts[key]

    def _new_cast(self, value: ir.Value, to: ir.DataType, beside: ir.Node, after: bool) -> ir.Value:
        name = fresh_name(self.model.graph, f"{value.name}_{'half' if to == HALF else 'float'}")
        node = ir.node("Cast", [value], {"to": int(to)}, name=fresh_name(self.model.graph, f"{name}_Cast"))
        cast = node.outputs[0]
        cast.name, cast.dtype, cast.shape = name, to, ir.Shape(list(value.shape)) if value.shape is not None else None
        graph = graph_of(beside)
        if after:
            graph.insert_after(beside, node)
        else:
            graph.insert_before(beside, node)
        return cast

    def _give(self, graph: ir.Graph, i: int, value: ir.Value, wanted: ir.DataType) -> None:
        """Make a graph's output what it should be, under the name it had."""
        producer = value.producer()
        if value.dtype == wanted or producer is None or producer.graph is not graph:
            return
        cast = self.casts.get((value, wanted, graph)) or self._new_cast(value, wanted, producer, after=True)
        name = value.name
        value.name = fresh_name(self.model.graph, f"{name}_{'half' if value.dtype == HALF else 'float'}")
        cast.name = name
        graph.outputs[i] = cast


def _halved(array: Array) -> Array:
    """In float16, numbers beyond its largest as that; piece by piece, without a copy in between."""
    halved = np.empty(array.shape, np.float16)
    source, target = array.reshape(-1), halved.reshape(-1)
    for start in range(0, source.size, AT_ONCE):
        part = source[start : start + AT_ONCE]
        target[start : start + AT_ONCE] = np.where(np.isfinite(part), np.clip(part, -LARGEST, LARGEST), part)
    return halved


def _join_casts(model: ir.Model) -> None:
    """Cast after Cast is one, or none, where the first loses nothing."""
    for graph in all_graphs(model):
        for node in list(graph):
            between = node.inputs[0] if node.op_type == "Cast" else None
            first = between.producer() if between is not None and is_float(between) else None
            if first is None or first.op_type != "Cast" or first.graph is not graph:
                continue
            origin = first.inputs[0]
            to = ir.DataType(node.attributes["to"].as_int())
            if origin is None or origin.dtype not in EXACT_SOURCES or not (origin.dtype == HALF or to == HALF):
                continue
            if origin.dtype == to and not node.outputs[0].is_graph_output():
                node.outputs[0].replace_all_uses_with(origin)
            else:
                node.replace_input_with(0, origin)
