"""Weights that the graph puts together from constants each time it runs: sliced, joined, turned. Exporters write LSTM weights so.

Folding one node at a time would grow the file (a slice of a weight that others slice too), so whole chains are folded at once, and
only where the result is no larger than the constants that nothing else reads.
"""

import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

REARRANGING = frozenset({"Slice", "Concat", "Unsqueeze", "Squeeze", "Transpose", "Reshape", "Identity", "Flatten"})
GROWTH = 4096
"""Bytes that folding one chain may add."""
LEAST = 256
"""Bytes of a result worth folding here: smaller ones are folded anyway."""


def fold_weight_chains(model: ir.Model) -> None:
    """Replace every rearrangement of constants by its result, in place, in branches and loop bodies too."""
    opset = model.opset_imports.get("", 13)
    for graph in model.graphs():
        fixed: set[ir.Value] = {v for v in graph.initializers.values() if not v.is_graph_input()}
        chained: set[ir.Node] = set()
        for node in graph:
            if node.op_type == "Constant" and "value" in node.attributes:
                fixed.update(node.outputs)
            elif _rearranges(node) and all(v is None or v in fixed for v in node.inputs):
                fixed.update(node.outputs)
                chained.add(node)
        for node in [n for n in graph if n in chained]:
            if any(use.node not in chained for use in node.outputs[0].uses()) or node.outputs[0].is_graph_output():
                _fold(graph, node, opset)


def _rearranges(node: ir.Node) -> bool:
    return node.op_type in REARRANGING and node.domain in ("", "ai.onnx") and len(node.outputs) == 1


def _fold(graph: ir.Graph, last: ir.Node, opset: int) -> None:
    chain = _makers(last)
    constants = {v for n in chain for v in n.inputs if v is not None and v.producer() not in chain}
    freed = sum(_tensor(v).nbytes for v in constants if all(use.node in chain for use in v.uses()) and not v.is_graph_output())
    result = _computed(chain, last.outputs[0], constants, opset)
    if (
        result.nbytes < LEAST
        or result.nbytes > freed + GROWTH
        or any(use.node not in chain for n in chain[:-1] for use in n.outputs[0].uses())
    ):
        return
    old = last.outputs[0]
    new = ir.Value(name=f"{old.name}_folded", type=ir.TensorType(result.dtype), shape=ir.Shape(result.shape.numpy()), const_value=result)
    graph.register_initializer(new)
    old.replace_all_uses_with(new, replace_graph_outputs=True)


def _makers(last: ir.Node) -> list[ir.Node]:
    """The nodes of the chain that ends with `last`, makers first."""
    found: dict[ir.Node, None] = {}
    stack = [(last, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            found[node] = None
            continue
        stack.append((node, True))
        for value in node.inputs:
            maker = value.producer() if value is not None else None
            if maker is not None and maker.op_type != "Constant" and maker not in found:
                stack.append((maker, False))
    return list(found)


def _tensor(value: ir.Value) -> ir.TensorProtocol:
    maker = value.producer()
    tensor = maker.attributes["value"].as_tensor() if maker is not None else value.const_value
    assert tensor is not None
    return tensor


def _computed(chain: list[ir.Node], wanted: ir.Value, constants: set[ir.Value], opset: int) -> ir.TensorProtocol:
    nodes = [ir.to_proto(n) for n in chain]
    given = {str(v.name): _tensor(v).numpy() for v in constants}
    inputs = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in given]
    graph = onnx.helper.make_graph(nodes, "chain", inputs, [onnx.helper.make_value_info(str(wanted.name), onnx.TypeProto())])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    (found,) = ReferenceEvaluator(model).run(None, given)
    return ir.tensor(found, name=f"{wanted.name}_folded")
