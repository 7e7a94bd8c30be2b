"""Small models written in ONNX's text form, run by ONNX Runtime and by the reference evaluator."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import numpy_helper, parser, shape_inference
from onnx.reference import ReferenceEvaluator

from optkit.arrays import Array
from optkit.datasets import Examples
from optkit.quantization.affine import Grid, grid_for
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.graphs import all_graphs
from optkit.runtimes.onnxruntime import open_onnx

Feed = Mapping[str, Array]


def read(graph: str, opset: Any = 17, **weights: Any) -> ir.Model:
    """A model from `(float[N,4] x) => (float[N,4] y) { … }` and its weights; every node gets a name."""
    return ir.from_proto(proto_of(graph, opset, **weights))


def proto_of(graph: str, opset: int = 17, **weights: Any) -> onnx.ModelProto:
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> g {graph}')
    for name, array in weights.items():
        held = np.asarray(array)
        proto.graph.initializer.append(numpy_helper.from_array(held.astype(np.float32) if held.dtype == np.float64 else held, name))
    named(proto.graph)
    return shape_inference.infer_shapes(proto, strict_mode=True)


def named(graph: onnx.GraphProto) -> None:
    """Name each node after what it writes."""
    for node in graph.node:
        node.name = node.output[0]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                named(attribute.g)


def draw(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)


def saved(model: ir.Model) -> bytes:
    return bytes(ir.to_proto(model).SerializeToString())


def answers(model: ir.Model, feed: Feed, *, optimize: bool = True) -> dict[str, Array]:
    """What ONNX Runtime says."""
    return open_onnx(saved(model), optimize=optimize).run(feed)


def reference(model: ir.Model, feed: Feed) -> dict[str, Array]:
    """What ONNX's own reference evaluator says."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    proto.opset_import[0].version = max(21, proto.opset_import[0].version)  # it knows no earlier Q and DQ, whose meaning is the same
    found = ReferenceEvaluator(proto).run(None, dict(feed))
    return dict(zip([v.name for v in proto.graph.output], found, strict=True))


def fused(model: ir.Model, folder: Path) -> Counter[str]:
    """Operators after ONNX Runtime has rewritten the graph, branches included."""
    target = folder / "fused.onnx"
    open_onnx(saved(model), optimized_to=target)
    return operators(ir.from_proto(onnx.load(target)))


def operators(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for graph in all_graphs(model) for node in graph)


def values(model: ir.Model, names: Iterable[str], feed: Feed) -> dict[str, Array]:
    """Tensors of the main graph, inputs too."""
    watched = model.clone()
    inside = set(names) - set(feed)
    held = {v.name for v in watched.graph.outputs}
    watched.graph.outputs.extend(v for n in watched.graph for v in n.outputs if v.name in inside - held)
    found = open_onnx(saved(watched)).run(feed, sorted(inside)) if inside else {}
    return {**{name: array for name, array in feed.items() if name in names}, **found}


def grids_for(model: ir.Model, names: Iterable[str], feed: Feed) -> dict[str, Grid]:
    """The grid that covers all of each tensor."""
    return {name: grid_for(float(v.min()), float(v.max())) for name, v in values(model, list(names), feed).items()}


def examples(**arrays: Array) -> Examples:
    return Examples("examples of a test", {name: np.asarray(array) for name, array in arrays.items()})


def watcher(**arrays: Array) -> Watcher:
    return Watcher(examples(**arrays))
