"""The quantized graph that follows from a treatment and from what was learned."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.affine import Grid
from optkit.quantization.blocks.eight_bits import hold_in_groups
from optkit.quantization.calibration.means import ChannelMeans, source_of
from optkit.quantization.channels.divide import divide_inputs
from optkit.quantization.float_graph.focus import join_focus
from optkit.quantization.graphs import all_graphs, constant_array, forget_shapes, prune_unused, share_names
from optkit.quantization.integer_graph.clip_grids import within_clips
from optkit.quantization.integer_graph.compress import compress_tables, compress_weights, compressible, stored_form
from optkit.quantization.integer_graph.hard_gates import with_hard_gates
from optkit.quantization.integer_graph.insert_dynamic import insert_dynamic
from optkit.quantization.integer_graph.insert_recurrent import WEIGHTS, correct_gates, insert_recurrent
from optkit.quantization.integer_graph.insert_static import insert_static, output_of
from optkit.quantization.integer_graph.moves_into_bodies import move_integers_into_bodies
from optkit.quantization.integer_graph.single_scale import with_one_scale
from optkit.quantization.integer_graph.stay_float import keep_floats
from optkit.quantization.operators import WEIGHT_INPUT, channel_axis, moves, weight_of, weighted_nodes
from optkit.quantization.rounding.bias import correct_bias
from optkit.quantization.variants.known_weights import KnownWeights
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way, consistent_ways

Weights = Mapping[str, tuple[Array, Array]]


def build(model: ir.Model, treatment: Treatment, learned: Learned, known: KnownWeights | None = None) -> ir.Model:
    """The quantized graph. `model` is not changed; the same arguments give the same graph. `known` are integers of its weights."""
    made = model.clone()
    share_names(made)
    grids = learned.grids
    ways = consistent_ways(made, treatment)
    if treatment.smooth:
        learned = divide_dynamic(made, ways, learned)
    whole = {str(n.inputs[WEIGHT_INPUT].name) for n in weighted_nodes(made) if n.name in treatment.whole}  # type: ignore[union-attr]
    weights, stored = rounded_weights(made, treatment, ways, learned, known)
    if treatment.compress:
        stored = {**stored, **stored_gates(made, ways, learned)}
    join_focus(made, but=ways)
    static = {n for n, w in ways.items() if w in (Way.STATIC, Way.STATIC_FLOAT_OUT)}
    if static:
        float_out = {n for n, w in ways.items() if w is Way.STATIC_FLOAT_OUT}
        insert_static(made, static, shared_grids(made, static, grids), float_out, weights)
        keep_floats(made)
        move_integers_into_bodies(made)
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


def divide_dynamic(model: ir.Model, ways: Mapping[str, Way], learned: Learned) -> Learned:
    """Take outlier channels out of what dynamic products read, in place; returns what holds of the divided tensors too."""
    means = dict(learned.means)
    for old, new in divide_inputs(model.graph, [n for n, w in ways.items() if w is Way.DYNAMIC], learned.smoothing).items():
        if (old, -1) in means:
            means[new, -1] = ChannelMeans(means[old, -1].plain * learned.smoothing[old].factor(), None)
    return replace(learned, means=means)


def rounded_weights(
    model: ir.Model, treatment: Treatment, ways: Mapping[str, Way], learned: Learned, known: KnownWeights | None = None
) -> tuple[Weights, Weights]:
    """Integers and scales of every weight that a layer computes with, by node name, and those learned for weights that are only stored,
    by name of the weight; biases make up for the rounding.
    """
    known = known or KnownWeights(model)
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
                    integers, scale = known.rounded(node, weight, given[:2] if given is not None else None, portable=treatment.portable)
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


def shared_grids(model: ir.Model, names: Iterable[str], grids: Mapping[str, Grid]) -> dict[str, Grid]:
    """Grids in which what a moving node writes has the grid of what it reads, and gates find theirs."""
    chosen = set(names)
    result = with_hard_gates(model, chosen, grids)
    for node in (n for g in all_graphs(model) for n in g):
        if node.name in chosen and moves(node) and str(node.inputs[0].name) in result:  # type: ignore[union-attr]
            result |= {str(v.name): result[str(node.inputs[0].name)] for v in node.outputs}  # type: ignore[union-attr]
    ends = [str(output_of(n).name) for g in all_graphs(model) for n in g if n.name in chosen]
    return within_clips(model, result, ends)
