"""Small graphs whose weights can be held in groups, and what runs them."""

from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
from onnx import numpy_helper, parser

from optkit.arrays import Array
from optkit.quantization.blocks.blocked import Blocked, Scheme
from optkit.quantization.blocks.layers import find_weights
from optkit.quantization.blocks.round_to_nearest import round_to_nearest
from optkit.runtimes.onnxruntime import open_onnx

GRAPHS = {
    "matmul": "(float[N,96] x) => (float[N,48] y) { y = MatMul(x, w) }",
    "stacked": "(float[N,3,96] x) => (float[N,3,48] y) { y = MatMul(x, w) }",
    "uneven": "(float[N,100] x) => (float[N,48] y) { y = MatMul(x, w) }",
    "gemm": "(float[N,96] x) => (float[N,48] y) { y = Gemm(x, w, b) }",
    "turned": "(float[N,96] x) => (float[N,48] y) { y = Gemm<transB=1>(x, w, b) }",
    "no_bias": "(float[N,96] x) => (float[N,48] y) { y = Gemm(x, w) }",
    "scaled": "(float[N,96] x) => (float[N,48] y) { y = Gemm<alpha=0.5, beta=2.0, transB=1>(x, w, b) }",
    "one_bias": "(float[N,96] x) => (float[N,48] y) { y = Gemm(x, w, one) }",
    "given_bias": "(float[N,96] x, float[48] c) => (float[N,48] y) { y = Gemm(x, w, c) }",
    "shared": "(float[N,96] x) => (float[N,96] y) { h = MatMul(x, w) r = Relu(h) y = MatMul(r, w) }",
    "table": "(int64[N,3] i) => (float[N,3,48] y) { y = Gather(w, i) }",
    "odd_table": "(int64[N,3] i) => (float[N,3,49] y) { y = Gather(w, i) }",
    "uneven_table": "(int64[N,3] i) => (float[N,3,50] y) { y = Gather(w, i) }",
    "tied": "(int64[N,3] i) => (float[N,3,96] y) { e = Gather(w, i) t = Transpose<perm=[1,0]>(w) y = MatMul(e, t) }",
    "tied_gemm": "(int64[N] i) => (float[N,96] y) { e = Gather(w, i) y = Gemm<transB=1>(e, w) }",
    "tied_copy": "(int64[N,3] i) => (float[N,3,96] y) { e = Gather(w, i) y = MatMul(e, v) }",
    "tied_uneven": "(int64[N,3] i) => (float[N,3,96] y) { e = Gather(w, i) y = MatMul(e, v) }",
    "branches": """(float[N,96] x, bool k) => (float[N,48] y) {
        y = If (k) <then_branch = t () => (float[N,48] p) { p = MatMul(x, w) },
                    else_branch = e () => (float[N,48] q) <float[48] z = {0}> { q = Gemm(x, w, b) }> }""",
}
SHAPES = {
    "uneven": (100, 48),
    "turned": (48, 96),
    "scaled": (48, 96),
    "shared": (96, 96),
    "table": (200, 48),
    "odd_table": (200, 49),
    "uneven_table": (200, 50),
    "tied": (96, 64),
    "tied_gemm": (96, 64),
    "tied_copy": (96, 64),
    "tied_uneven": (96, 50),
}
GRAPHS["branches"] = GRAPHS["branches"].replace(" <float[48] z = {0}>", "")


def draw(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)


def model_of(kind: str, *, half: bool = False, opset: int = 17, constants: bool = False) -> ir.Model:
    graph = GRAPHS[kind].replace("float[", "float16[") if half else GRAPHS[kind]
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> g {graph}')
    weight = draw(*SHAPES.get(kind, (96, 48)), scale=0.1)
    held = {"w": weight, "v": np.ascontiguousarray(weight.T), "b": draw(48, seed=1), "one": draw(1, seed=2)}
    for name, array in held.items():
        if f" {name})" in graph or f" {name}," in graph or f"({name}," in graph or f"({name})" in graph:
            tensor = numpy_helper.from_array(array.astype(np.float16) if half else array, name)
            if constants:
                proto.graph.node.insert(0, onnx.helper.make_node("Constant", [], [name], value=tensor))
            else:
                proto.graph.initializer.append(tensor)
    _name(proto.graph)
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def _name(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        node.name = node.output[0]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _name(attribute.g)


def feed_of(model: ir.Model, rows: int = 5, seed: int = 3) -> dict[str, Array]:
    feed: dict[str, Array] = {}
    for value in model.graph.inputs:
        assert value.shape is not None
        shape = [size if isinstance(size, int) else rows for size in value.shape]
        if value.dtype == ir.DataType.BOOL:
            feed[str(value.name)] = np.array(True)
        elif value.dtype == ir.DataType.INT64:
            feed[str(value.name)] = np.random.default_rng(seed).integers(-90, 90, shape)
        else:
            feed[str(value.name)] = draw(*shape, seed=seed).astype(np.float16 if value.dtype == ir.DataType.FLOAT16 else np.float32)
    return feed


def answer(model: ir.Model, feed: Mapping[str, Array], *, optimize: bool = True) -> Array:
    return np.asarray(open_onnx(ir.to_proto(model).SerializeToString(), optimize=optimize).run(feed)["y"])


def nearest(model: ir.Model, scheme: Scheme) -> dict[str, Blocked]:
    """Every weight of a model, rounded to nearest; tables of odd width in 8 bits."""
    found = {}
    for weight in find_weights(model):
        odd = weight.shape[1] % 2 and any(u.node.op_type == "Gather" for u in weight.uses)
        own = Scheme(8 if odd else scheme.bits, scheme.size, scheme.symmetric, weight.half)
        found[weight.name] = round_to_nearest(weight.rows(), own)
    return found


def with_real_weights(model: ir.Model, blocked: Mapping[str, Blocked]) -> ir.Model:
    """The float graph with the weights that `blocked` stands for: what a graph with them in groups must answer."""
    made = model.clone()
    for weight in find_weights(made):
        alpha = next((float(u.node.attributes.get_float("alpha", 1.0)) for u in weight.uses if u.node.op_type == "Gemm"), 1.0)
        real = blocked[weight.name].real() / np.float32(alpha)
        for value, array in ((weight.value, real if weight.rows_first else real.T), *((c, real.T) for c in weight.copies)):
            kind = np.float16 if weight.half else np.float32
            tensor = ir.tensor(np.ascontiguousarray(array, dtype=kind), name=value.name)
            producer = value.producer()
            if producer is None:
                value.const_value = tensor
            else:
                producer.attributes["value"] = ir.AttrTensor("value", tensor)
    return made
