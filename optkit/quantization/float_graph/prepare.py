"""The float graph that quantization starts from: simplified, at an opset with per-channel Q/DQ, every node named."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from optkit.formats.onnx_opset import raise_opset
from optkit.formats.onnx_simplify import MATTERS_OF_SPEED, simplify
from optkit.quantization.float_graph.bounds import name_bounds
from optkit.quantization.float_graph.conv_affine import fold_affine
from optkit.quantization.float_graph.hard_sigmoids import name_hard_sigmoids
from optkit.quantization.float_graph.masks import soften_masks
from optkit.quantization.float_graph.pads import join_pads
from optkit.quantization.float_graph.pools import pool_means
from optkit.quantization.float_graph.prelus import spell_out_prelus
from optkit.quantization.float_graph.product_bias import join_products
from optkit.quantization.float_graph.relus import take_relus_forward
from optkit.quantization.float_graph.reshapes import settle_reshapes
from optkit.quantization.float_graph.spell_out import spell_out

PER_CHANNEL_OPSET = 13


@dataclass(frozen=True)
class Prepared:
    """The float graph, and sentences about what was done to reach it."""

    model: ir.Model
    remarks: tuple[str, ...] = ()
    widened: bool = False
    """Whether the original computes in half precision, and this in float32."""


REWRITES: tuple[Callable[[ir.Model], object], ...] = (
    settle_reshapes,
    join_pads,
    name_hard_sigmoids,
    name_bounds,
    spell_out_prelus,
    fold_affine,
    take_relus_forward,
    join_products,
    pool_means,
)
"""What is done after simplifying, in this order."""
STEPS = (*MATTERS_OF_SPEED, *(step.__name__ for step in REWRITES))
"""What may be left out where it makes the graph slower."""


def prepare(model: ir.Model, *, soften: bool = True, rewrite: bool = True, but: Collection[str] = ()) -> Prepared:
    """A graph equal to `model`, ready to be quantized; the one given is not changed. Raises ModelError where the opset cannot be raised.

    `soften` makes attention masks gentler, `rewrite` simplifies, `but` by the STEPS named; without it the graph is only converted and its
    nodes named.
    """
    raised, remark = raise_opset(model, PER_CHANNEL_OPSET)
    if rewrite:
        ready = simplify(_spelled_out(raised), but)
        for step in REWRITES:
            if step.__name__ not in but:
                step(ready)
        if soften:
            soften_masks(ready)
    else:
        ready = raised.clone()
        LiftConstantsToInitializersPass(lift_all_constants=False, size_limit=1)(ready)
    _name_nodes(ready)
    _name_inner_values(ready)
    return Prepared(ready, (remark,) if remark else ())


def _spelled_out(model: ir.Model) -> ir.Model:
    """A copy without the operators that only ONNX Runtime knows, where it has any that can be told otherwise."""
    ready = model.clone()
    return ready if spell_out(ready) else model


def _name_nodes(model: ir.Model) -> None:
    """Nodes are addressed by name, so every name must be there and be the only one."""
    taken: set[str] = set()
    for number, node in enumerate(model.graph.all_nodes()):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{number}"
            while node.name in taken:
                node.name += "_"
        taken.add(node.name)


def _name_inner_values(model: ir.Model) -> None:
    """Branches may use a name twice; here tensors are addressed by name throughout the model."""
    taken: set[str] = set()
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in dict.fromkeys((*graph.inputs, *graph.initializers.values(), *(v for n in graph for v in n.outputs if v.name))):
            name, number = str(value.name), 1
            while value.name in taken:
                number += 1
                value.name = f"{name}_{number}"
            taken.add(str(value.name))
