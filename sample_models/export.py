"""Writes a PyTorch module as a plain ONNX file: opset 18, readable names, no traces of the exporter, the same bytes every time."""

import ast
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import torch


def export(model: torch.nn.Module, inputs: dict[str, torch.Tensor], axes: tuple[str, ...], output: str, path: Path) -> None:
    """`inputs` are examples by input name; `axes` names the leading axes of each, which may have any length."""
    program = torch.onnx.export(
        model.eval(),
        kwargs=inputs,
        dynamo=True,
        opset_version=18,
        input_names=list(inputs),
        output_names=[output],
        dynamic_shapes={name: dict(enumerate(axes)) for name in inputs},
        verbose=False,
    )
    assert program is not None
    exported = program.model_proto
    split_unsqueezes(exported.graph)
    nodes, names = rename(exported.graph, set(model.state_dict()))
    values = [onnx.helper.make_tensor_value_info(v.name, v.type.tensor_type.elem_type, lengths(v)) for v in exported.graph.input]
    answers = [onnx.helper.make_tensor_value_info(v.name, v.type.tensor_type.elem_type, lengths(v)) for v in exported.graph.output]
    weights = [
        onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(w), names[w.name]) for w in exported.graph.initializer if w.name in names
    ]
    graph = onnx.helper.make_graph(nodes, path.parent.name, values, answers, weights)
    plain = onnx.helper.make_model(graph, opset_imports=exported.opset_import, ir_version=exported.ir_version, producer_name="pytorch")
    onnx.checker.check_model(plain, full_check=True)
    path.write_bytes(plain.SerializeToString(deterministic=True))


def split_unsqueezes(graph: onnx.GraphProto) -> None:
    """One axis an Unsqueeze: in no other form do ONNX Runtime's transformer fusions recognize an attention mask."""
    constants = {weight.name: weight for weight in graph.initializer}
    for at, node in reversed(list(enumerate(graph.node))):
        if node.op_type == "Unsqueeze" and onnx.numpy_helper.to_array(constants[node.input[1]]).size == 2:
            first, second = sorted(onnx.numpy_helper.to_array(constants[node.input[1]]).tolist())
            inner = onnx.NodeProto()
            inner.CopyFrom(node)
            inner.output[0] = f"{node.output[0]}_inner"
            node.input[0] = inner.output[0]
            for part, axis in ((inner, first), (node, second)):
                part.input[1] = f"{part.output[0]}_axis"
                graph.initializer.append(onnx.numpy_helper.from_array(np.array([axis], np.int64), part.input[1]))
            graph.node.insert(at, inner)


def rename(graph: onnx.GraphProto, learned: set[str]) -> tuple[list[onnx.NodeProto], dict[str, str]]:
    """Nodes named `module/Operator` after the module they were traced from, with the new names of all values.

    A value is named after the node that computes it; a constant that the exporter made, after the first node that reads it.
    """
    seen: Counter[str] = Counter()
    names = {value: value for value in (*learned, *(value.name for value in (*graph.input, *graph.output)))}
    nodes = []
    for node in graph.node:
        module = module_of(node)
        seen[f"{module}/{node.op_type}"] += 1
        repeat = seen[f"{module}/{node.op_type}"]
        name = f"{module}/{node.op_type}" + (f"_{repeat}" if repeat > 1 else "")
        for position, value in enumerate(node.input):
            transposed_weight = node.op_type == "MatMul" and position == 1
            names.setdefault(value, f"{module}.weight" if transposed_weight else f"{name}/constant_{position}")
        for value in node.output:
            names.setdefault(value, name)
        renamed = onnx.NodeProto(op_type=node.op_type, domain=node.domain, name=name, attribute=node.attribute)
        renamed.input.extend(names[value] for value in node.input)
        renamed.output.extend(names[value] for value in node.output)
        nodes.append(renamed)
    return nodes, names


def module_of(node: onnx.NodeProto) -> str:
    scopes = {prop.key: prop.value for prop in node.metadata_props}.get("pkg.torch.onnx.name_scopes", "[]")
    return next((scope for scope in reversed(ast.literal_eval(scopes)[:-1]) if scope and not scope.startswith("_")), "model")


def lengths(value: onnx.ValueInfoProto) -> list[int | str | None]:
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
