"""Small models for these tests, written in ONNX's own text form or with its helpers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from optkit.arrays import Array
from optkit.inspection.values import Value, tensor_type
from optkit.inspection.walk import Visit, Walk

FLOAT = onnx.TensorProto.FLOAT


def parse(text: str, initializers: Mapping[str, Array] | None = None) -> onnx.ModelProto:
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in (initializers or {}).items())
    return model


def walked(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]] | None = None, known: Mapping[str, Array] | None = None) -> Walk:
    """Walk a model with its inputs' declared shapes, or those given; `known` inputs have numbers."""
    walk = Walk(model, Path())
    values = {}
    for each in model.graph.input:
        dims = (shapes or {}).get(each.name) or tuple(d.dim_value for d in each.type.tensor_type.shape.dim)
        kind = tensor_type(each.type.tensor_type.elem_type, dims)
        values[each.name] = Value(kind, (known or {}).get(each.name))
    walk.start(values)
    return walk


def total(walk: Walk) -> int:
    assert all(v.macs is not None for v in walk.visits if v.times), [v.node.op_type for v in walk.visits if v.macs is None]
    return sum((v.macs or 0) * v.times for v in walk.visits)


def visit_of(walk: Walk, op_type: str) -> Visit:
    (found,) = [v for v in walk.visits if v.node.op_type == op_type]
    return found


def one_node(
    op_type: str,
    inputs: Mapping[str, tuple[int, ...]],
    weights: Mapping[str, Array],
    *,
    domain: str = "",
    opset: int = 21,
    dtype: int = FLOAT,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node; empty names among the inputs leave that input out."""
    given = [name if not name.startswith("_") else "" for name in (*inputs, *weights)]
    node = helper.make_node(op_type, given, ["y"], domain=domain, **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items() if not name.startswith("_")],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items() if not name.startswith("_")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)], ir_version=10)


def floats(*shape: int) -> Array:
    return np.ones(shape, np.float32)
