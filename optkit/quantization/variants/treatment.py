"""What becomes of each node, and the quantized graph that follows from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.affine import Grid, quantize_weight
from optkit.quantization.blocks.eight_bits import hold_in_groups
from optkit.quantization.calibration.means import ChannelMeans, Source, source_of
from optkit.quantization.channels.divide import Division, divide_inputs
from optkit.quantization.graphs import all_graphs, constant_array, forget_shapes, prune_unused, share_names
from optkit.quantization.integer_graph.clip_grids import within_clips
from optkit.quantization.integer_graph.compress import compress_tables, compress_weights, compressible, stored_form
from optkit.quantization.integer_graph.insert_dynamic import insert_dynamic
from optkit.quantization.integer_graph.insert_recurrent import WEIGHTS, correct_gates, insert_recurrent
from optkit.quantization.integer_graph.insert_static import insert_static, output_of
from optkit.quantization.integer_graph.regions import region_nodes
from optkit.quantization.integer_graph.saturation import fit_pairs
from optkit.quantization.integer_graph.single_scale import with_one_scale
from optkit.quantization.integer_graph.stay_float import keep_floats
from optkit.quantization.operators import WEIGHT_INPUT, channel_axis, moves, weight_of
from optkit.quantization.rounding.bias import correct_bias
from optkit.quantization.rounding.gate_rounding import RoundedGates
from optkit.quantization.rounding.learned_rounding import Rounded

Weights = Mapping[str, tuple[Array, Array]]


class Way(StrEnum):
    """How one node computes. A node with no way given stays float."""

    STATIC = "static"
    """Integers in and out, ranges known beforehand."""
    STATIC_FLOAT_OUT = "static, float output"
    """Integers in, float out: right for matrix products whose readers compute in float."""
    DYNAMIC = "dynamic"
    """Integers in, float out, the range read off each input."""
    GROUPS = "8-bit groups"
    """Float in and out; each group of weights and of inputs is in integers with a scale of its own."""


@dataclass(frozen=True)
class Treatment:
    """One way to quantize a whole model."""

    name: str
    ways: Mapping[str, Way] = field(default_factory=dict)
    """Node name → way."""
    compress: bool = True
    """Store the float weights that are left as integers too."""
    smooth: bool = False
    """Divide outlier channels out of what dynamic matrix products read, or multiply them apart."""
    portable: bool = True
    """Weights such that CPUs that add products in 16 bits give the same answers."""
    group_size: int = 128
    """Weights in a group, where any are in groups."""
    ends: bool = False
    """Elementwise nodes that lead to no integer layer compute in integers too."""
    single: frozenset[str] = frozenset()
    """Layers whose weights have one scale each, in place of one for each output."""
    whole: frozenset[str] = frozenset()
    """Layers whose weights stay as they are, float32 in the file too."""

    given_back: frozenset[str] = frozenset()
    """Nodes that compute in float because ONNX Runtime would have left them in float between integers."""

    def without(self, nodes: Iterable[str]) -> "Treatment":
        """The same, with some nodes left as they were."""
        gone = frozenset(nodes)
        left = {n: w for n, w in self.ways.items() if n not in gone}
        return replace(self, ways=left)


def weighted_nodes(model: ir.Model) -> list[ir.Node]:
    """Every Conv, Gemm and MatMul with a float weight, in branches and loop bodies too, in order."""
    return [n for g in all_graphs(model) for n in g if weight_of(n) is not None]


@dataclass(frozen=True)
class Learned:
    """What calibration found out, by tensor name; empty without calibration examples."""

    grids: Mapping[str, Grid] = field(default_factory=dict)
    means: Mapping[Source, ChannelMeans] = field(default_factory=dict)
    smoothing: Mapping[str, Division] = field(default_factory=dict)
    """What becomes of outlier channels, for inputs of matrix products that gain by it."""
    remarks: tuple[str, ...] = ()
    """What the user should know of the examples."""
    rounded: Mapping[str, Rounded] = field(default_factory=dict)
    """Weights whose rounding was learned, by name of the node; of dynamic products whose inputs are divided, the divided weights."""
    gates: Mapping[str, RoundedGates] = field(default_factory=dict)
    """The same of recurrent nodes."""


def build(model: ir.Model, treatment: Treatment, learned: Learned) -> ir.Model:
    """The quantized graph. `model` is not changed; the same arguments give the same graph."""
    made = model.clone()
    share_names(made)
    grids = learned.grids
    ways = consistent_ways(made, treatment)
    if treatment.smooth:
        divided = divide_inputs(made.graph, [n for n, w in ways.items() if w is Way.DYNAMIC], learned.smoothing)
        learned = _learned_of_divided(learned, divided)
    whole = {str(n.inputs[WEIGHT_INPUT].name) for n in weighted_nodes(made) if n.name in treatment.whole}  # type: ignore[union-attr]
    weights, stored = rounded_weights(made, treatment, ways, learned)
    if treatment.compress:
        stored = {**stored, **stored_gates(made, ways, learned)}
    static = {n for n, w in ways.items() if w in (Way.STATIC, Way.STATIC_FLOAT_OUT)}
    if static:
        float_out = {n for n, w in ways.items() if w is Way.STATIC_FLOAT_OUT}
        insert_static(made, static, shared_grids(made, static, grids), float_out, weights)
        keep_floats(made)
    dynamic = {n for n, w in ways.items() if w is Way.DYNAMIC}
    for graph in all_graphs(made):
        insert_dynamic(graph, dynamic, weights)
        insert_recurrent(made, graph, dynamic, portable=treatment.portable, given=learned.gates)
    hold_in_groups(made, {n for n, w in ways.items() if w is Way.GROUPS}, treatment.group_size)
    prune_unused(made)
    if treatment.compress:
        compress_tables(made)
        compress_weights(made, whole, given=stored)
        prune_unused(made)
    forget_shapes(made)
    return made


def _learned_of_divided(learned: Learned, divided: Mapping[str, str]) -> Learned:
    """What holds of divided tensors."""
    means = dict(learned.means)
    for old, new in divided.items():
        if (old, -1) in means:
            means[new, -1] = ChannelMeans(means[old, -1].plain * learned.smoothing[old].factor(), None)
    return replace(learned, means=means)


def rounded_weights(model: ir.Model, treatment: Treatment, ways: Mapping[str, Way], learned: Learned) -> tuple[Weights, Weights]:
    """Integers and scales of every weight that a layer computes with, by node name, and those learned for weights that are only stored,
    by name of the weight; biases make up for the rounding.
    """
    weights: dict[str, tuple[Array, Array]] = {}
    stored: dict[str, tuple[Array, Array]] = {}
    for graph in all_graphs(model):
        for node in graph:
            name = str(node.name)
            if weight_of(node) is None or ways.get(name) is Way.GROUPS or (name not in ways and not treatment.compress):
                continue
            if name not in ways and name in treatment.whole:
                continue
            value = node.inputs[WEIGHT_INPUT]
            means = learned.means.get(source_of(node))
            weight = constant_array(value)
            assert value is not None
            assert weight is not None
            axis, given = channel_axis(node), learned.rounded.get(name)
            if name in ways:
                if name in treatment.single:
                    integers, scale = with_one_scale(node, weight, portable=treatment.portable)
                else:
                    integers, scale = given[:2] if given is not None else quantize_weight(weight, axis)
                    if treatment.portable:
                        integers, scale = fit_pairs(node, weight, integers, scale)
                weights[name] = integers, scale
                rounded = integers * (_along(scale, axis, weight.ndim) if scale.ndim else scale)
            elif compressible(value) and given is not None and len(value.uses()) == 1:
                stored[str(value.name)] = given.integers, _along(given.scale, axis, weight.ndim)
                rounded = given.integers * stored[str(value.name)][1]
            elif means is not None and compressible(value) and (form := stored_form(value, weight)) is not None:
                rounded = form[0] * form[1]
            else:
                continue
            if means is not None:
                static = ways.get(name) in (Way.STATIC, Way.STATIC_FLOAT_OUT)
                patches = given.mean if given is not None else None
                correct_bias(graph, node, weight, rounded, means, activations=static, patches=patches)
    return weights, stored


def stored_gates(model: ir.Model, ways: Mapping[str, Way], learned: Learned) -> Weights:
    """Integers and scales learned for recurrent weights that are only stored, by name of the weight; biases make up for the rounding."""
    stored: dict[str, tuple[Array, Array]] = {}
    for graph in all_graphs(model):
        for node in graph:
            given = learned.gates.get(str(node.name)) if str(node.name) not in ways else None
            if given is not None:
                correct_gates(graph, node, given)
                for place, integers, scale in zip(WEIGHTS, given.integers, given.scales, strict=True):
                    stored[str(node.inputs[place].name)] = integers, scale[:, :, None]  # type: ignore[union-attr]
    return stored


def _along(scale: Array, axis: int, rank: int) -> Array:
    """One number per output channel, in the place of that axis."""
    return scale.reshape([-1 if a == axis else 1 for a in range(rank)])


def consistent_ways(model: ir.Model, treatment: Treatment) -> dict[str, Way]:
    """A treatment's ways without the elementwise nodes whose inputs are no longer made by integer nodes: those go back to float."""
    kept = dict(treatment.ways)
    layers = [n for n in weighted_nodes(model) if str(n.name) in kept]
    weighted = [n for n in layers if kept[str(n.name)] is Way.STATIC]
    readers = [n for n in layers if kept[str(n.name)] is Way.STATIC_FLOAT_OUT]
    region = region_nodes(model, weighted, lambda node: node.name in kept, readers=readers, ends=treatment.ends)
    alive = {n.name for n in (*region, *weighted)}
    for node in (n for g in all_graphs(model) for n in g):
        if kept.get(str(node.name)) is Way.STATIC and weight_of(node) is None and node.name not in alive:
            del kept[str(node.name)]
    return kept


def shared_grids(model: ir.Model, names: Iterable[str], grids: Mapping[str, Grid]) -> dict[str, Grid]:
    """Grids in which what a moving node writes has the grid of what it reads."""
    chosen, result = set(names), dict(grids)
    for node in (n for g in all_graphs(model) for n in g):
        if node.name in chosen and moves(node) and str(node.inputs[0].name) in result:  # type: ignore[union-attr]
            result |= {str(v.name): result[str(node.inputs[0].name)] for v in node.outputs}  # type: ignore[union-attr]
    ends = [str(output_of(n).name) for g in all_graphs(model) for n in g if n.name in chosen]
    return within_clips(model, result, ends)


__all__ = ["Learned", "Treatment", "Way", "build", "consistent_ways", "rounded_weights", "weighted_nodes"]
