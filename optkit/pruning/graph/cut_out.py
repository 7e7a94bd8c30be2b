"""Remove units from a model: slices out of constants, and the sizes that attributes and constants hold."""

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from optkit.arrays import Array
from optkit.pruning.graph.groups import Groups
from optkit.quantization.graphs import all_graphs, prune_unused


def cut_out(model: ir.Model, groups: Groups, removed: Array) -> ir.Model:
    """A copy without the units in `removed`; what they contributed is gone, everything else computes as before."""
    made = model.clone()
    gone = np.asarray(removed)
    for name, axes in groups.axes.items():
        value = made.graph.initializers[name]
        tensor = value.const_value
        assert tensor is not None
        masks = {axis: ~np.isin(units, gone) for axis, units in axes.items()}
        if all(mask.all() for mask in masks.values()):
            continue
        array = tensor.numpy()
        for axis, mask in masks.items():
            array = np.compress(mask, array, axis=axis)
        put(value, array)
    nodes = {str(n.name): n for n in made.graph}
    for node, change in groups.changes:
        change(nodes[node], lambda numbers: ~np.isin(groups.units[numbers], gone))
    _infer_anew(made)
    prune_unused(made)
    return made


def put(value: ir.Value, array: Array) -> None:
    """Give an initializer another content."""
    tensor = ir.tensor(np.ascontiguousarray(array), name=value.name)
    value.const_value, value.shape = tensor, ir.Shape(array.shape)


def _infer_anew(model: ir.Model) -> None:
    """Shapes noted in the graph speak of channels that are gone."""
    for graph in all_graphs(model):
        for node in graph:
            for value in node.outputs:
                if not value.is_graph_output():
                    value.shape = None
    ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
