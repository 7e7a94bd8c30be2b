"""One copy of the float model in which each layer computes in rounded numbers or not, as an input says.

What each layer costs in fidelity then takes runs of one session, and no file and no session for each.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.affine import Grid
from optkit.quantization.calibration.watched import open_watched
from optkit.quantization.graphs import add_constant, add_node, constant_array, share_names
from optkit.quantization.integer_graph.compress import compressible, stored_form
from optkit.quantization.integer_graph.insert_static import output_of
from optkit.quantization.operators import WEIGHT_INPUT, channel_axis, weight_of
from optkit.quantization.variants.build import divide_dynamic, rounded_weights, shared_grids
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way, consistent_ways

SWITCHES = "optkit_switches"
Ends = tuple[Grid | None, Grid | None]
"""Of what a layer reads, None if that is found for each input, and of what it writes, None if that is not rounded."""
ROUNDING = frozenset({Way.STATIC, Way.STATIC_FLOAT_OUT, Way.DYNAMIC})


class Switched:
    """The switched model as a session: `layers` are those that have a switch, `on` the one that is rounded."""

    def __init__(self, model: ir.Model, treatment: Treatment, learned: Learned, threads: int) -> None:
        made, self.layers = with_switches(model, treatment, learned)
        self.on: str | None = None
        self._session = open_watched(made, threads)
        self.inputs = tuple(i for i in self._session.inputs if i.name != SWITCHES)
        self.outputs = self._session.outputs

    def run(self, feed: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        return self._session.run(self._with_switches(feed), outputs)

    def bind(self, feed: Mapping[str, Array]) -> Callable[[], None]:
        return self._session.bind(self._with_switches(feed))

    def placement(self) -> dict[str, int]:
        return self._session.placement()

    def _with_switches(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        return {**feed, SWITCHES: np.array([name == self.on for name in self.layers])}


def with_switches(model: ir.Model, treatment: Treatment, learned: Learned) -> tuple[ir.Model, list[str]]:
    """The model with one more input, a boolean for each of the layers named.

    It says whether what the layer reads, its weight and what it writes are rounded; where no layer computes in integers, whether its
    weight is as it is stored. Layers in branches have none.
    """
    made = model.clone()
    share_names(made)
    ways = consistent_ways(made, treatment)
    if treatment.smooth:
        learned = divide_dynamic(made, ways, learned)
    rounded = made.clone()
    weights, stored = rounded_weights(rounded, treatment, ways, learned)
    static = {n for n, way in ways.items() if way in (Way.STATIC, Way.STATIC_FLOAT_OUT)}
    grids = shared_grids(made, static, learned.grids)
    layers = [n for n in made.graph if weight_of(n) is not None and _rounds(n, treatment, ways)]
    biases = {str(n.name): n.inputs[2] for n in rounded.graph if len(n.inputs) > 2}
    around = {str(n.name): (str(n.inputs[0].name), str(output_of(n).name)) for n in layers}  # type: ignore[union-attr]
    switches = ir.Value(name=SWITCHES, type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape([len(layers)]))
    made.graph.inputs.append(switches)
    for place, node in enumerate(layers):
        name = str(node.name)
        held = constant_array(node.inputs[1])
        assert held is not None
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        shifted = constant_array(biases.get(name)) if constant_array(bias) is not None else None
        source, behind = around[name]
        ends = grids[source] if name in static else None, grids[behind] if ways.get(name) is Way.STATIC else None
        yes = _branch(node, "then", weights[name] if ways else _as_stored(node, stored), shifted, ends)
        no = _branch(node, "else", held, constant_array(bias))
        which = add_constant(made.graph, f"{name}_switch", np.int64(place))
        asked = add_node(node, "Gather", [switches, which], f"{name}_on").outputs[0]
        chosen = add_node(node, "If", [asked], f"{name}_chosen", then_branch=yes, else_branch=no).outputs[0]
        chosen.type, chosen.shape = node.outputs[0].type, node.outputs[0].shape
        _replace(made.graph, node.outputs[0], chosen)
        made.graph.remove(node, safe=True)
    return made, [str(n.name) for n in layers]


def _rounds(node: ir.Node, treatment: Treatment, ways: Mapping[str, Way]) -> bool:
    if ways:
        return ways.get(str(node.name)) in ROUNDING
    return treatment.compress and compressible(node.inputs[WEIGHT_INPUT])  # type: ignore[arg-type]


def _as_stored(node: ir.Node, learned: Mapping[str, tuple[Array, Array]]) -> Array:
    value = node.inputs[WEIGHT_INPUT]
    weight = constant_array(value)
    assert value is not None
    assert weight is not None
    form = learned.get(str(value.name)) or stored_form(value, weight)
    return weight if form is None else np.asarray(form[0] * form[1], np.float32)


def _branch(node: ir.Node, name: str, weight: Array | tuple[Array, Array], bias: Array | None, ends: Ends = (None, None)) -> ir.Graph:
    """A body that computes what the node does: with a float weight as it is, with integers and their scales between roundings to the
    grids of its ends.
    """
    label = f"{node.name}_{name}"
    nodes: list[ir.Node] = []
    held: list[ir.Value] = []

    def constant(array: Array | np.generic) -> ir.Value:
        tensor = ir.tensor(np.asarray(array), name=f"{label}_{len(held)}")
        shape = ir.Shape(np.shape(array))
        held.append(ir.Value(name=tensor.name, type=ir.TensorType(tensor.dtype), shape=shape, const_value=tensor))
        return held[-1]

    def compute(operator: str, inputs: Sequence[ir.Value | None], outputs: int = 1, **attributes: Any) -> ir.Node:
        nodes.append(ir.node(operator, inputs, attributes or None, num_outputs=outputs, name=f"{label}_{len(nodes)}"))
        for place, value in enumerate(nodes[-1].outputs):
            value.name = f"{label}_{len(nodes)}_{place}"
        return nodes[-1]

    def on_grid(value: ir.Value | None, grid: Grid) -> ir.Value:
        scale, zero = constant(np.float32(grid.scale)), constant(np.uint8(grid.zero_point))
        return compute("DequantizeLinear", [compute("QuantizeLinear", [value, scale, zero]).outputs[0], scale, zero]).outputs[0]

    source = node.inputs[0]
    if isinstance(weight, tuple) and ends[0] is not None:
        source = on_grid(source, ends[0])
    elif isinstance(weight, tuple):
        source = compute("DequantizeLinear", compute("DynamicQuantizeLinear", [source], 3).outputs).outputs[0]
    if isinstance(weight, tuple):
        integers, scale = weight
        parts = [constant(integers), constant(scale.astype(np.float32)), constant(np.zeros(scale.shape, np.int8))]
        inputs = [source, compute("DequantizeLinear", parts, axis=channel_axis(node)).outputs[0]]
    else:
        inputs = [source, constant(weight)]
    if len(node.inputs) > 2:
        inputs.append(constant(bias) if bias is not None else node.inputs[2])
    result = compute(node.op_type, inputs, **{a.name: a.value for a in node.attributes.values()}).outputs[0]
    if ends[1] is not None:
        result = on_grid(result, ends[1])
    return ir.Graph([], [result], nodes=nodes, initializers=held, name=label)


def _replace(graph: ir.Graph, old: ir.Value, new: ir.Value) -> None:
    """`new` in place of `old`, under its name where it is an output of the model."""
    if old.is_graph_output():
        graph.outputs[:] = [new if v is old else v for v in graph.outputs]
        old.name, new.name = f"{old.name}_plain", old.name
    for use in list(old.uses()):
        use.node.replace_input_with(use.idx, new)
