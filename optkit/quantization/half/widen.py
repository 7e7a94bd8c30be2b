"""Half precision computed in float32, from where integers start: weights, values, Cast targets, branches and loop bodies.

Inputs and outputs of the model keep their types, with a Cast behind or before them; so do those of operators that have no float32 form, or
that nobody knows. Casts that convert nothing any more go.
"""

from collections.abc import Mapping
from copy import deepcopy

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from optkit.formats.onnx_quiet import quiet_graph_libraries
from optkit.quantization.graphs import add_node, all_graphs, constant_tensor, graph_of, share_names
from optkit.quantization.half.slots import fill_types, may_be_float
from optkit.quantization.integer_graph.compress import SMALLEST_TENSOR
from optkit.quantization.recognise import HALVES, graph_constants

FLOAT = ir.DataType.FLOAT
TYPE_ATTRIBUTES = frozenset({"to", "dtype", "output_datatype", "output_dtype", "stash_type", "softmax_precision"})
"""Attributes that hold a type."""


def holds_half(value: ir.Value) -> bool:
    """Whether a constant is a weight in float16 or bfloat16."""
    tensor = constant_tensor(value)
    return tensor is not None and tensor.dtype in HALVES and len(tensor.shape) >= 2 and tensor.size >= SMALLEST_TENSOR


def widen(model: ir.Model) -> ir.Model:
    """A copy that computes in float32; the model itself where no weight is in half precision, or whole sequences come or leave in it."""
    if not any(holds_half(value) for graph in all_graphs(model) for value in graph_constants(graph)):
        return model
    if any(v.dtype in HALVES and not isinstance(v.type, ir.TensorType) for v in (*model.graph.inputs, *model.graph.outputs)):
        return model
    wide = model.clone()
    with quiet_graph_libraries():
        if wide.functions:
            common.InlinePass()(wide)
        untold = [v for graph in all_graphs(wide) for node in graph for v in node.outputs if v.type is None]
        common.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=False)(wide)
    fill_types(wide)
    share_names(wide)
    _Widening(wide).run()
    for value in untold:
        if not value.is_graph_output():
            value.type = value.shape = None  # the inference takes sequences for tensors
    return wide


def told(model: ir.Model) -> str:
    """What was done to a model that was widened, for the user."""
    ports = any(v.dtype in HALVES for v in (*model.graph.inputs, *model.graph.outputs))
    return f"its half precision was turned into float32 first{', but for inputs and outputs' if ports else ''}"


class _Widening:
    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self.nodes = [node for graph in all_graphs(model) for node in graph]
        self.ports = [(i, v, v.dtype) for i, v in enumerate(model.graph.outputs) if v.dtype in HALVES and not _is_given(v)]
        self.given = [v for v in (*model.graph.inputs, *model.graph.initializers.values()) if v.dtype in HALVES and _is_given(v)]
        """What stays as it is under its name: inputs, and constants that are outputs."""
        self.narrow = [(node, *_narrow(node, model.opset_imports)) for node in self.nodes]
        """Of each node the inputs and outputs that stay in half precision, with their types."""

    def run(self) -> None:
        strange = {node for node, inputs, outputs in self.narrow if inputs or outputs}
        for graph in all_graphs(self.model):
            for value in (*graph.inputs, *graph.initializers.values(), *(v for node in graph for v in node.outputs)):
                if value not in self.given:
                    _widen_value(value)
        for node in self.nodes:
            if node not in strange:
                _widen_attributes(node)
        first = self.nodes[0]
        for value in dict.fromkeys(self.given):
            _cast_after(value, FLOAT, first, before=True)
        for node, inputs, outputs in self.narrow:
            self._keep_narrow(node, inputs, outputs)
        for place, value, kind in self.ports:
            self._give(place, value, kind)
        for node in [n for graph in all_graphs(self.model) for n in graph if n.op_type == "Cast"]:
            _drop_if_needless(node)

    def _keep_narrow(self, node: ir.Node, inputs: Mapping[int, ir.DataType], outputs: Mapping[int, ir.DataType]) -> None:
        for i, kind in inputs.items():
            value = node.inputs[i]
            cast = add_node(node, "Cast", [value], f"{value.name}_half" if value is not None else "half", to=int(kind)).outputs[0]
            cast.type = ir.TensorType(kind)
            node.replace_input_with(i, cast)
        for i, kind in outputs.items():
            node.outputs[i].type = ir.TensorType(kind)
            _cast_after(node.outputs[i], FLOAT, node)

    def _give(self, place: int, value: ir.Value, kind: ir.DataType | None) -> None:
        """Make an output of the model what it was, under the name it had."""
        now = self.model.graph.outputs[place]
        node = now.producer()
        if now.dtype == kind or kind is None or node is None:  # an output given twice
            return
        name = value.name
        cast = add_node(node, "Cast", [now], f"{name}_half", after=True, to=int(kind)).outputs[0]
        cast.type, cast.shape = ir.TensorType(kind), now.shape
        value.name, cast.name = cast.name, name
        for i, output in enumerate(self.model.graph.outputs):
            if output is now:
                self.model.graph.outputs[i] = cast


def _is_given(value: ir.Value) -> bool:
    """Whether a value of the main graph keeps its name and type wherever it is used: an input, or a constant that is an output."""
    return value.is_graph_input() or (value.is_initializer() and value.is_graph_output())


def _narrow(node: ir.Node, opsets: Mapping[str, int]) -> tuple[dict[int, ir.DataType], dict[int, ir.DataType]]:
    inputs, outputs = may_be_float(node, opsets)
    return (
        {i: v.dtype for i, (v, may) in enumerate(zip(node.inputs, inputs, strict=True)) if v is not None and v.dtype in HALVES and not may},
        {i: v.dtype for i, (v, may) in enumerate(zip(node.outputs, outputs, strict=True)) if v.dtype in HALVES and not may},
    )


def _widen_value(value: ir.Value) -> None:
    value.type = _wide_type(value.type)
    tensor = value.const_value
    if tensor is not None and tensor.dtype in HALVES:
        value.const_value = _wide_tensor(tensor)


def _wide_type(kind: ir.TypeProtocol | None) -> ir.TypeProtocol | None:
    if kind is None or kind.dtype not in HALVES:
        return kind
    made = deepcopy(kind)  # clones of a model share theirs
    made.dtype = FLOAT
    return made


def _wide_tensor(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype(np.float32), name=tensor.name)


def _widen_attributes(node: ir.Node) -> None:
    for name, attr in list(node.attributes.items()):
        if attr.type == ir.AttributeType.TENSOR and attr.as_tensor().dtype in HALVES:
            node.attributes[name] = ir.AttrTensor(name, _wide_tensor(attr.as_tensor()))
        elif name in TYPE_ATTRIBUTES and attr.type == ir.AttributeType.INT and attr.as_int() in HALVES:
            node.attributes[name] = ir.AttrInt64(name, int(FLOAT))


def _cast_after(value: ir.Value, to: ir.DataType, beside: ir.Node, *, before: bool = False) -> None:
    """Let all that read a value read a Cast of it; an input or constant that is an output too stays that."""
    uses = list(value.uses())
    cast = add_node(beside, "Cast", [value], f"{value.name}_float", after=not before, to=int(to)).outputs[0]
    cast.type, cast.shape = ir.TensorType(to), value.shape
    if value.is_graph_output() and not _is_given(value):
        value.replace_all_uses_with(cast, replace_graph_outputs=True)
        cast.producer().replace_input_with(0, value)  # type: ignore[union-attr]
    for use in uses:
        use.node.replace_input_with(use.idx, cast)


def _drop_if_needless(node: ir.Node) -> None:
    """Remove a Cast of float32 to float32; where it makes an output of its graph, what it casts takes its place if it may."""
    before, after = node.inputs[0], node.outputs[0]
    if before is None or before.dtype != FLOAT or node.attributes["to"].as_int() != FLOAT:
        return
    if after.is_graph_output():
        producer = before.producer()
        if producer is None or producer.graph is not node.graph or before.is_graph_output():
            return
        name = after.name
        after.replace_all_uses_with(before, replace_graph_outputs=True)
        before.shape = after.shape or before.shape
        graph_of(node).remove(node, safe=True)
        before.name = name
        return
    after.replace_all_uses_with(before)
    graph_of(node).remove(node, safe=True)
