"""A smaller graph that says the same: constants folded, batch norms folded into convolutions, needless nodes and changes of layout gone.

The steps come from onnx-ir and onnxscript. Rules that trust declared shapes, write operators of a later opset than the
model's or take 1e-9 for zero are left out. Every step works on a copy: one that fails on an unusual graph is skipped.
"""

import logging
from collections.abc import Callable, Collection, Sequence

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript.optimizer import fold_constants
from onnxscript.rewriter import RewritePass, RewriteRule
from onnxscript.rewriter.rules import common as rules

from optkit.formats.onnx_known_sizes import fold_known_sizes
from optkit.formats.onnx_layouts import without_layout_changes
from optkit.formats.onnx_loop_invariants import free_loop_invariants
from optkit.formats.onnx_quiet import quiet_graph_libraries
from optkit.formats.onnx_row_pads import keep_pads_apart
from optkit.formats.onnx_rows import lay_in_rows
from optkit.formats.onnx_weight_chains import fold_weight_chains

log = logging.getLogger(__name__)

Step = Callable[[ir.Model], object]
MATTERS_OF_SPEED = ("fold_known_sizes", "lay_in_rows", "keep_pads_apart", "without_layout_changes")
"""Steps that may bring ONNX Runtime to choose other kernels."""

LARGEST_GROWTH = 4096
"""Bytes that folding one node may add to the file: a folded Expand or Range must not blow it up."""
MOST_ROUNDS = 5
HISTORY = ("namespace", "pkg.torch.", "pkg.onnxscript.")
"""Starts of what exporters and libraries call their notes."""
NOT_CONSTANT = frozenset({"Bernoulli", "DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"})
"""Random draws, and quantization that must stay visible."""
RANDOM = frozenset({"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"})


def simplify(model: ir.Model, but: Collection[str] = ()) -> ir.Model:
    """An equal model with fewer nodes; the one given is not changed. Of the steps in MATTERS_OF_SPEED those named in `but` are left out.

    Kept: opset, inputs and outputs (names, types, shapes, order), metadata, quantization operators, custom operators. Constant
    nodes become initializers of the graph they stand in, also in branches and loop bodies. Declared shapes that contradict the
    inputs are dropped; missing ones are inferred.
    """
    ports = [(v.shape, v.type) for v in model.graph.outputs]
    with quiet_graph_libraries():
        model = _try_steps((_inline_functions, free_constant_inputs, _lift_constants, free_loop_invariants, _forget_stale_shapes), model)
        model = _settled(model, but)
        straight = model if "without_layout_changes" in but else _straightened(model)
        model = model if straight is model else _settled(straight, but)
        steps = (fold_weight_chains, remove_unused, _infer_shapes, lay_in_rows, keep_pads_apart, remove_unused)
        model = _try_steps([step for step in steps if step.__name__ not in but], model)
        model = _try_steps((_name_all, _forget_history), model)
    for value, (shape, kind) in zip(model.graph.outputs, ports, strict=True):
        value.shape, value.type = shape, kind
    return model


def _settled(model: ir.Model, but: Collection[str]) -> ir.Model:
    """Rounds of the steps that make room for each other, until nothing changes."""
    steps = (_fold_constants, fold_known_sizes, _rewrite, _lift_constants, _merge_equal_nodes, remove_unused)
    for _ in range(MOST_ROUNDS):
        before = model
        model = _try_steps([step for step in steps if step.__name__ not in but], model)
        if _outline(model) == _outline(before):
            break
    return model


def _straightened(model: ir.Model) -> ir.Model:
    try:
        return without_layout_changes(model)
    except Exception as error:  # as in _try_steps
        log.debug("simplify: skipped without_layout_changes: %s", error)
        return model


def _try_steps(steps: Sequence[Step], model: ir.Model) -> ir.Model:
    """A copy after these steps. One that fails is left out, and the others start anew: a copy for each would take longer than they do."""
    sound = list(steps)
    while True:
        changed = model.clone()
        for step in sound:
            try:
                step(changed)
            except Exception as error:  # a library that trips over an unusual graph must not stop the others
                log.debug("simplify: skipped %s: %s", getattr(step, "__name__", type(step).__name__), error)
                sound.remove(step)
                break
        else:
            return changed


def _outline(model: ir.Model) -> tuple[int, int]:
    graphs = tuple(model.graphs())
    return sum(len(g) for g in graphs), sum(len(g.initializers) for g in graphs)


def _inline_functions(model: ir.Model) -> None:
    if model.functions:
        common.InlinePass()(model)


def free_constant_inputs(model: ir.Model) -> None:
    """Old exporters list every weight as an input that may be overridden, which makes nothing constant."""
    weights = model.graph.initializers.values()
    if weights and (model.ir_version < 4 or all(v.is_graph_input() for v in weights)):
        common.RemoveInitializersFromInputsPass()(model)
        model.ir_version = max(model.ir_version, 4)


def _lift_constants(model: ir.Model) -> None:
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)


def _forget_stale_shapes(model: ir.Model) -> None:
    """Declared shapes are trusted, as ONNX Runtime does, unless one contradicts what follows from the inputs.

    That happens when only the inputs were edited, to free the batch axis of a model exported with batch 1.
    """
    fresh = model.clone()
    _forget_shapes(fresh)
    free: set[str] = set()
    for number, value in enumerate(fresh.graph.inputs):
        if value.shape is not None:
            value.shape = ir.Shape([size if isinstance(size, int) else f"free_{number}_{axis}" for axis, size in enumerate(value.shape)])
            free.update(str(size) for size in value.shape if not isinstance(size, int))
    _infer_shapes(fresh)
    for graph, other in zip(model.graphs(), fresh.graphs(), strict=True):
        for node, twin in zip(graph, other, strict=True):
            for value, inferred in zip(node.outputs, twin.outputs, strict=True):
                if _contradicts(value.shape, inferred.shape, free):
                    _forget_shapes(model)
                    return


def _contradicts(declared: ir.Shape | None, inferred: ir.Shape | None, free: set[str]) -> bool:
    if declared is None or inferred is None:
        return False
    return len(declared) != len(inferred) or any(
        isinstance(here, int) and (there != here if isinstance(there, int) else str(there) in free)
        for here, there in zip(declared, inferred, strict=True)
    )


def _forget_shapes(model: ir.Model) -> None:
    for graph in model.graphs():
        if graph is not model.graph:
            for value in graph.inputs:
                value.shape = None
        for node in graph:
            for value in node.outputs:
                value.shape = None


def _fold_constants(model: ir.Model) -> None:
    fold_constants(model, onnx_shape_inference=True, input_size_limit=8192, output_size_limit=1024, should_fold=_worth_folding)
    if model.opset_imports.get("", 18) < 18:  # SplitToSequence is rewritten with an attribute that Split has from there on
        for node in (n for graph in model.graphs() for n in graph if n.op_type == "Split" and n.domain == ""):
            node.attributes.pop("num_outputs", None)


def _worth_folding(node: ir.Node) -> bool | None:
    """Whether the result is no larger than what it makes superfluous; None leaves it to the size limits."""
    if node.domain not in ("", "ai.onnx") or node.op_type in NOT_CONSTANT or node.op_type in RANDOM:
        return False
    grown = 0
    for value in node.outputs:
        if value.shape is None or value.dtype is None or not all(isinstance(size, int) for size in value.shape):
            return False if node.op_type == "ConstantOfShape" else None  # a size is stored as a size unless it is small
        grown += int(value.dtype.itemsize * _product(value.shape))
    for value in {v for v in node.inputs if v is not None}:
        if value.const_value is not None and all(user is node for user, _ in value.uses()):
            grown -= value.const_value.nbytes
    return grown <= LARGEST_GROWTH


def _product(shape: ir.Shape) -> int:
    total = 1
    for size in shape:
        total *= int(str(size))
    return total


def _rewrite(model: ir.Model) -> None:
    RewritePass(_RULES)(model)


_RULES: tuple[RewriteRule, ...] = (
    rules.fuse_batchnorm_into_conv_rule,
    rules.fuse_batchnorm_into_conv_transpose_rule,
    rules.fuse_batchnorm_into_gemm_rule,
    rules.no_op_cast_rule,
    rules.no_op_transpose_rule,
    rules.transpose_transpose_rule,
)


def _share_small_integers(model: ir.Model) -> None:
    """One initializer for equal axes and shapes, so that the nodes they feed become equal. Weights stay apart: each has its range."""
    for graph in model.graphs():
        first: dict[tuple[str, bytes], ir.Value] = {}
        for name, value in list(graph.initializers.items()):
            tensor = value.const_value
            if tensor is None or tensor.dtype != ir.DataType.INT64 or tensor.size > 16 or value.is_graph_input() or value.is_graph_output():
                continue
            kept = first.setdefault((str(tensor.shape), tensor.tobytes()), value)
            if kept is not value:
                value.replace_all_uses_with(kept)
                graph.initializers.pop(name)


def _merge_equal_nodes(model: ir.Model) -> None:
    _share_small_integers(model)
    if not any(node.op_type in RANDOM or node.domain for node in model.graph):
        common.CommonSubexpressionEliminationPass()(model)


def remove_unused(model: ir.Model) -> None:
    """Drop nodes, weights and opsets that nothing uses, in place; weights of branches and loop bodies too, which onnx-ir leaves."""
    common.RemoveUnusedNodesPass()(model)
    common.RemoveUnusedOpsetsPass()(model)
    for graph in model.graphs():
        for name, value in list(graph.initializers.items()):
            if not value.uses() and not value.is_graph_output() and not value.is_graph_input():
                del graph.initializers[name]


def _name_all(model: ir.Model) -> None:
    common.NameFixPass()(model)


def _forget_history(model: ir.Model) -> None:
    """Exporters write on every node from which lines of source code it comes, which can be more than half of a file, and the libraries
    what it was folded from. Of the model itself all notes stay.
    """
    for graph in model.graphs():
        for node in graph:
            node.doc_string = None
        values = [*graph.initializers.values(), *(v for node in graph for v in node.outputs)]
        for holder in (*graph, *values):
            for key in [k for k in holder.metadata_props if k.startswith(HISTORY)]:
                del holder.metadata_props[key]


def _infer_shapes(model: ir.Model) -> None:
    common.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
