"""Models that exporters really write, each unusual in one way, all with a weight that could be quantized; and examples for each."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, parser

from optkit.arrays import Array

RANDOM = np.random.default_rng(7)


def draw(*shape: int, scale: float = 1.0) -> Array:
    return (RANDOM.normal(size=shape) * scale).astype(np.float32)


W, V = draw(32, 64, scale=0.2), draw(64, 32, scale=0.15)
FILTERS = draw(32, 4, 3, 3, scale=0.2)
ROWS, IMAGES = draw(48, 32), draw(48, 4, 8, 8)
MATRICES = {"w": W, "v": V}
Write = Callable[[onnx.ModelProto, Path], None]


@dataclass(frozen=True)
class Odd:
    """A model in ONNX's text form, its constants, and examples (one array for each input)."""

    graph: str
    weights: dict[str, Array] = field(default_factory=dict)
    examples: dict[str, Array] | None = None
    opset: int = 17
    ir: int = 8
    imports: str = ""
    functions: str = ""
    change: Callable[[onnx.ModelProto], None] = lambda model: None
    write: Write = lambda model, path: onnx.save(model, path)
    whole: bool = False
    refused: bool = False
    """ONNX Runtime itself does not run it."""

    def save(self, path: Path) -> None:
        """Write the model."""
        text = f'<ir_version: {self.ir}, opset_import: ["" : {self.opset}{self.imports}]> g {self.graph} {self.functions}'
        model = parser.parse_model(text)
        for name, array in self.weights.items():
            model.graph.initializer.append(numpy_helper.from_array(array, name))
        model.metadata_props.add(key="author", value="a test")
        model.producer_name = "odd"
        self.change(model)
        self.write(model, path)


def convolutional(body: str, opset: int, out: str = "float[N,C,H,W] y", **weights: Array) -> Odd:
    return Odd(f"(float[N,4,8,8] x) => ({out}) {{ {body} }}", {"k": FILTERS, **weights}, {"x": IMAGES}, opset, 8 if opset > 8 else 4)


def dense(body: str, *, examples: dict[str, Array] | None = None, **more: Any) -> Odd:
    """Rows of 32 numbers through `w` and `v`."""
    return Odd(body, {**MATRICES, **more.pop("weights", {})}, examples or {"x": ROWS}, **more)


def as_inputs(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))


def first_as_input(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))


def as_constants(model: onnx.ModelProto) -> None:
    nodes = [helper.make_node("Constant", [], [t.name], value=t) for t in model.graph.initializer]
    rest = list(model.graph.node)
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend([*nodes, *rest])


def as_sparse(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    array = numpy_helper.to_array(tensor).copy()
    array[np.abs(array) < 0.2] = 0
    places = np.flatnonzero(array)
    values = numpy_helper.from_array(array.ravel()[places], tensor.name)
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(places.astype(np.int64), "at"), list(array.shape))
    del model.graph.initializer[0]
    model.graph.sparse_initializer.append(sparse)


def beside(model: onnx.ModelProto, path: Path) -> None:
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)


def nameless(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.ClearField("name")


def same_names(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.name = "node"


PLAIN = "(float[N,32] x) => (float[N,32] y) { a = MatMul(x, w) b = Relu(a) y = MatMul(b, v) }"
NORM: dict[str, Any] = {name: np.abs(draw(32)) + 0.5 for name in ("s", "b", "m", "t")}

ODD: dict[str, Odd] = {
    # earlier opsets and what their operators were
    "opset 7: Upsample, BatchNormalization, Dropout with mask, Squeeze": convolutional(
        "c = Conv<pads=[1,1,1,1]>(x, k) n = BatchNormalization(c, s, b, m, t) r = Relu(n) d, mask = Dropout<ratio=0.5>(r)"
        ' u = Unsqueeze<axes=[0]>(d) q = Squeeze<axes=[0]>(u) y = Upsample<scales=[1.0,1.0,2.0,2.0], mode="nearest">(q)',
        7,
        **NORM,
    ),
    "opset 7: Clip, Pad, Slice and Split by attributes": convolutional(
        "p = Pad<pads=[0,0,1,1,0,0,1,1], value=0.0>(x) c = Conv(p, k) l = Clip<min=-1.0, max=1.0>(c)"
        " a, z = Split<axis=1, split=[16,16]>(l) j = Concat<axis=1>(z, a) y = Slice<axes=[2], starts=[1], ends=[7]>(j)",
        7,
    ),
    "opset 7: TopK, ReduceSum and Softmax by attributes": dense(
        "(float[N,32] x) => (float[N,4] y, int64[N,4] i) { a = MatMul(x, w) s = Softmax<axis=1>(a) r = ReduceSum<axes=[1], keepdims=1>(s)"
        " d = Div(s, r) y, i = TopK<axis=1, k=4>(d) }",
        opset=7,
        ir=4,
    ),
    "opset 8: Expand, Max of three, initializers among the inputs": dense(
        "(float[N,32] x) => (float[N,64] y) { a = MatMul(x, w) n = Neg(a) y = Max(a, n, o) }",
        weights={"o": np.zeros((1, 64), np.float32)},
        opset=8,
        ir=3,
        change=as_inputs,
    ),
    "opset 9: Upsample with an input, BatchNormalization, Where": convolutional(
        "c = Conv<pads=[1,1,1,1]>(x, k) n = BatchNormalization<epsilon=0.001>(c, s, b, m, t) z = Sub(n, n) g = Greater(n, z)"
        ' r = Where(g, n, z) y = Upsample<mode="nearest">(r, e)',
        9,
        e=np.array([1, 1, 2, 2], np.float32),
        **NORM,
    ),
    "opset 10: Resize, Dropout, Slice with inputs": convolutional(
        'c = Conv<pads=[1,1,1,1]>(x, k) d, mask = Dropout(c) l = Slice(d, f, o, h) y = Resize<mode="linear">(l, e)',
        10,
        e=np.array([1, 1, 2, 2], np.float32),
        f=np.array([1]),
        o=np.array([7]),
        h=np.array([2]),
    ),
    "opset 11: Clip and Pad with inputs, Resize with a region": convolutional(
        'p = Pad(x, f) c = Conv(p, k) l = Clip(c, o, ) y = Resize<mode="nearest">(l, h, e)',
        11,
        e=np.array([1, 1, 2, 2], np.float32),
        f=np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        o=np.array(0, np.float32),
        h=np.zeros(0, np.float32),
    ),
    "opset 12: Dropout with its ratio, Einsum, ArgMax": dense(
        '(float[N,32] x) => (int64[N] y, float[N,64] e) { a = MatMul(x, w) d, mask = Dropout(a, r) e = Einsum<equation="ij,j->ij">(d, o)'
        " y = ArgMax<axis=1, keepdims=0>(e) }",
        weights={"r": np.array(0.5, np.float32), "o": np.ones(64, np.float32)},
        opset=12,
    ),
    "opset 6": dense(PLAIN, opset=6, ir=3),
    "opset 21": dense(PLAIN, opset=21, ir=10),
    "opset 23": dense(PLAIN, opset=23, ir=11),
    # how constants are given
    "constants as nodes": dense(PLAIN, change=as_constants),
    "one initializer is an input as well": dense(PLAIN, change=first_as_input),
    "every initializer is an input as well": dense(PLAIN, change=as_inputs),
    "a sparse initializer": dense(PLAIN, change=as_sparse),
    "weights in another file": dense(PLAIN, write=beside),
    "constants as nodes in another file": dense(PLAIN, change=as_constants, write=beside),
    "an empty initializer": dense(
        "(float[N,32] x) => (float[N,64] y) { z = Slice(x, o, o, l) j = Concat<axis=1>(x, z) a = MatMul(j, w) y = Relu(a) }",
        weights={"o": np.array([0]), "l": np.array([1]), "unused": np.zeros((0, 4), np.float32)},
    ),
    "one weight read by two layers": dense(
        "(float[N,32] x) => (float[N,64] y) { n = Tanh(x) a = MatMul(x, w) b = MatMul(n, w) y = Add(a, b) }"
    ),
    "one weight read in opposite orientations": dense(
        "(float[N,32] x) => (float[N,32] y) { a = MatMul(x, w) r = Tanh(a) y = Gemm<transB=1>(r, w) }"
    ),
    "a tied embedding": dense(
        "(int64[N,6] i) => (float[N,6,64] y) { e = Gather(v, i) n = Tanh(e) h = MatMul(n, w)"
        " t = Transpose(v) g = MatMul(n, t) y = Add(g, h) }",
        examples={"i": RANDOM.integers(0, 64, (48, 6))},
    ),
    "a weight of zeros": dense(PLAIN, weights={"w": W * 0}),
    "an infinite weight": dense(PLAIN, weights={"v": np.where(np.arange(64)[:, None] == 3, -np.inf, V).astype(np.float32)}),
    "tiny weights": dense(PLAIN, weights={"w": W * np.float32(1e-30)}),
    "huge weights": dense(PLAIN, weights={"w": W * np.float32(1e30)}),
    # inputs and outputs
    "an output that is an input": dense(
        "(float[N,32] x) => (float[N,32] x, float[N,64] y) { a = MatMul(x, w) y = Relu(a) }",
    ),
    "an output that is a weight": dense("(float[N,32] x) => (float[N,64] y, float[32,64] w) { y = MatMul(x, w) }"),
    "a layer's result is an output too": dense("(float[N,32] x) => (float[N,64] a, float[N,32] y) { a = MatMul(x, w) y = MatMul(a, v) }"),
    "an input that nothing reads": dense(
        "(float[N,32] x, float[N,3] u) => (float[N,64] y) { y = MatMul(x, w) }", examples={"x": ROWS, "u": draw(48, 3)}
    ),
    "several inputs, whole numbers among them": dense(
        "(float[N,32] x, int64[N] i, bool[N,1] b) => (float[N,64] y) { f = Cast<to=1>(b) g = Gather(e, i) s = Mul(g, f) h = Add(x, s)"
        " y = MatMul(h, w) }",
        weights={"e": draw(9, 32)},
        examples={"x": ROWS, "i": RANDOM.integers(0, 9, 48), "b": RANDOM.integers(0, 2, (48, 1)).astype(bool)},
    ),
    "uint8 images": Odd(
        "(uint8[N,4,8,8] x) => (float[N,32,6,6] y) { f = Cast<to=1>(x) s = Mul(f, o) y = Conv(s, k) }",
        {"k": FILTERS, "o": np.array(1 / 255, np.float32)},
        {"x": RANDOM.integers(0, 256, (48, 4, 8, 8)).astype(np.uint8)},
    ),
    "double inputs": dense(
        "(double[N,32] x) => (double[N,64] y) { f = Cast<to=1>(x) a = MatMul(f, w) y = Cast<to=11>(a) }",
        examples={"x": ROWS.astype(np.float64)},
    ),
    "double throughout": Odd(
        "(double[N,32] x) => (double[N,64] y) { y = MatMul(x, w) }", {"w": W.astype(np.float64)}, {"x": ROWS.astype(np.float64)}
    ),
    "float16 inputs": dense(
        "(float16[N,32] x) => (float16[N,64] y) { f = Cast<to=1>(x) a = MatMul(f, w) y = Cast<to=10>(a) }",
        examples={"x": ROWS.astype(np.float16)},
    ),
    "float16 throughout": Odd(
        "(float16[N,32] x) => (float16[N,64] y) { y = MatMul(x, w) }", {"w": W.astype(np.float16)}, {"x": ROWS.astype(np.float16)}
    ),
    "no batch axis": dense("(float[32] x) => (float[64] y) { y = MatMul(x, w) }", examples={"x": ROWS}, whole=True),
    "a scalar input and a scalar output": dense(
        "(float[N,32] x, float s) => (float y) { a = MatMul(x, w) b = Mul(a, s) y = ReduceL2<keepdims=0>(b) }",
        examples={"x": ROWS[:, None, :], "s": draw(48)},
        whole=True,
    ),
    "no rows": dense(PLAIN, examples={"x": np.zeros((48, 0, 32), np.float32)}, whole=True),
    "rows of many lengths": dense(
        "(float[N,T,32] x) => (float[N,T,32] y) { a = MatMul(x, w) b = Relu(a) y = MatMul(b, v) }", examples={"x": draw(48, 5, 32)}
    ),
    "text for an input": dense(
        "(string[N] t, float[N,32] x) => (string[N] t2, float[N,64] y) { t2 = Identity(t) y = MatMul(x, w) }",
        examples={"t": np.array([f"word {i}" for i in range(48)], object), "x": ROWS},
    ),
    "a sequence for an output": dense(
        "(float[N,32] x) => (seq(float[N,32]) y) { a = MatMul(x, w) y = SplitToSequence<axis=1>(a, s) }", weights={"s": np.array(32)}
    ),
    "a sequence for an input": dense(
        "(seq(float[N,32]) x) => (float[N,64] y) { i = Constant<value=int64 {0}>() a = SequenceAt(x, i) y = MatMul(a, w) }"
    ),
    "an optional output": dense("(float[N,32] x) => (optional(float[N,64]) y) { a = MatMul(x, w) y = Optional(a) }"),
    "no input": Odd("() => (float[32,32] y) { y = MatMul(w, v) }", MATRICES, None),
    # graphs in graphs, functions, other domains
    "branches": dense(
        "(float[N,32] x, bool t) => (float[N,64] y) { y = If (t) <"
        "then_branch = one () => (float[N,64] p) { a = MatMul(x, w) p = Relu(a) },"
        "else_branch = two () => (float[N,64] q) { a = MatMul(x, w) q = Neg(a) }> }",
        examples={"x": ROWS[:, None, :], "t": np.arange(48) % 2 == 0},
        whole=True,
    ),
    "a loop": dense(
        "(float[N,32] x) => (float[N,32] y, float[S,N,64] z) <int64 n = {3}, bool c = {1}> { y, z = Loop (n, c, x) <"
        "body = b (int64 i, bool g, float[N,32] s) => (bool h, float[N,32] t, float[N,64] a) {"
        " h = Identity(g) a = MatMul(s, w) r = Tanh(a) t = MatMul(r, v) }> }"
    ),
    "a scan": Odd(
        "(float[T,1,32] x) => (float[1,64] y, float[T,1,64] z) { y, z = Scan<num_scan_inputs=1, body = b (float[1,64] s, float[1,32] e) =>"
        " (float[1,64] t, float[1,64] u) { a = MatMul(e, w) f = Add(a, s) t = Tanh(f) u = Identity(t) }>(o, x) }",
        {"w": W, "o": np.zeros((1, 64), np.float32)},
        {"x": draw(48, 5, 1, 32)},
        whole=True,
    ),
    "a function": dense(
        "(float[N,32] x) => (float[N,32] y) { a = MatMul(x, w) y = local.turn(a, v) }",
        imports=', "local" : 1',
        functions='<domain: "local", opset_import: ["" : 17]> turn (a, v) => (y) { r = Relu(a) y = MatMul(r, v) }',
    ),
    "an operator of ONNX Runtime": dense(
        "(float[N,32] x) => (float[N,32] y) { a = MatMul(x, w) g = com.microsoft.Gelu(a) y = MatMul(g, v) }",
        imports=', "com.microsoft" : 1',
    ),
    "an operator of nobody": dense(
        "(float[N,32] x) => (float[N,32] y) { a = MatMul(x, w) g = nobody.Gelu(a) y = MatMul(g, v) }",
        imports=', "nobody" : 1',
        refused=True,
    ),
    "the standard domain by its long name": dense(PLAIN.replace("MatMul", "ai.onnx.MatMul")),
    # operators without integer kernels, and odd forms of those that have them
    "transposed convolution": convolutional(
        "c = ConvTranspose(x, k2) r = Relu(c) y = Conv(r, k3)", 17, k2=draw(4, 40, 3, 3), k3=draw(32, 40, 1, 1)
    ),
    "convolutions in one and three dimensions": Odd(
        "(float[N,4,64] x) => (float[N,96,62] y, float[N,16,2,2,2] z) { y = Conv(x, k1) r = Reshape(x, s) z = Conv(r, k3) }",
        {"k1": draw(96, 4, 3), "k3": draw(16, 4, 3, 3, 3), "s": np.array([0, 4, 4, 4, 4])},
        {"x": draw(48, 4, 64)},
    ),
    "groups, dilations and automatic padding": convolutional(
        'd = Conv<group=4, auto_pad="SAME_UPPER">(x, k1) e = Conv<auto_pad="SAME_LOWER">(d, k)'
        " y = Conv<group=2, strides=[2,2], dilations=[2,2]>(e, k2)",
        17,
        k1=draw(4, 1, 3, 3),
        k2=draw(8, 16, 3, 3),
    ),
    "Gemm scaled and turned": dense(
        "(float[32,N] x) => (float[N,64] y) { y = Gemm<alpha=0.5, beta=2.0, transA=1>(x, w, o) }",
        weights={"o": draw(1, 64)},
        examples={"x": draw(48, 32, 4)},
        whole=True,
    ),
    "a weight on the left, and a stack of weights": Odd(
        "(float[N,32,8] x) => (float[N,2,64,16] y) { a = MatMul(w, x) u = Unsqueeze(a, o) y = MatMul(u, s) }",
        {"w": draw(64, 32, scale=0.2), "s": draw(2, 8, 16, scale=0.3), "o": np.array([1])},
        {"x": draw(48, 32, 8)},
    ),
    "an LSTM and a GRU": Odd(
        "(float[T,1,32] x) => (float[T,1,1,16] y, float[T,1,1,16] z) {"
        " y = LSTM<hidden_size=16>(x, w, r) z = GRU<hidden_size=16>(x, u, q) }",
        {
            "w": draw(1, 64, 32, scale=0.2),
            "r": draw(1, 64, 16, scale=0.2),
            "u": draw(1, 48, 32, scale=0.2),
            "q": draw(1, 48, 16, scale=0.2),
        },
        {"x": draw(48, 5, 1, 32)},
        whole=True,
    ),
    "random numbers": dense("(float[N,32] x) => (float[N,64] y) { a = MatMul(x, w) n = RandomNormalLike<scale=0.001>(a) y = Add(a, n) }"),
    "nothing but a weight that is passed on": Odd("(float[N,32] x) => (float[N,32] y) { y = Identity(x) }", {}, {"x": ROWS}),
    # names
    "nodes without names": dense(PLAIN, change=nameless),
    "nodes with one name": dense(PLAIN, change=same_names, refused=True),
    # quantized already
    "Q/DQ around a weight": dense(
        "(float[N,32] x) => (float[N,64] y) { f = DequantizeLinear(i, s) y = MatMul(x, f) }",
        weights={"i": np.clip(W * 200, -127, 127).astype(np.int8), "s": np.array(0.005, np.float32)},
    ),
    "integer weights behind a cast": dense(
        "(float[N,32] x) => (float[N,64] y) { f = Cast<to=1>(i) g = Mul(f, s) y = MatMul(x, g) }",
        weights={"i": np.clip(W * 200, -127, 127).astype(np.int8), "s": np.array(0.005, np.float32)},
    ),
}
