"""Convolutions along one axis, worked on as images of one row."""

import re
from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import numpy_helper, parser

from optkit.formats.onnx_row_pads import keep_pads_apart
from optkit.formats.onnx_rows import lay_in_rows
from optkit.formats.onnx_simplify import simplify

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return (RNG.normal(size=shape) * 0.3).astype(np.float32)


WEIGHTS = {
    "w": normal(16, 16, 5),
    "v": normal(16, 16, 3),
    "d": normal(16, 1, 3),
    "t": normal(16, 16, 4),
    "few": normal(5, 16, 3),
    "k": normal(16, 16, 5, 1),
    "odd": normal(16, 16, 3, 3),
    "l": normal(1, 16, 24),
    "c": normal(16, 1),
    "cc": normal(1, 16, 24, 1),
    "s": np.abs(normal(16)) + 0.5,
    "one": np.float32(0.3),
    "pads": np.array([0, 0, 2, 0, 0, 3], np.int64),
    "pads4": np.array([0, 0, 2, 0, 0, 0, 3, 0], np.int64),
    "first": np.array([1], np.int64),
    "last": np.array([-1], np.int64),
    "axis": np.array([2], np.int64),
    "back": np.array([-1], np.int64),
    "zeros": np.zeros((2, 16, 4), np.float32),
}
LINE, COLUMN = "[2,16,24]", "[2,16,24,1]"


def read(body: str, shape: str = LINE, opset: int = 17, output: str = "y") -> ir.Model:
    text = f'<ir_version: 8, opset_import: ["" : {opset}]> g (float{shape} x) => (float {output}) {{ {body} }}'
    proto = parser.parse_model(text)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    used = set(re.findall(r"\w+", body))
    proto.graph.initializer.extend(numpy_helper.from_array(np.asarray(a), name) for name, a in WEIGHTS.items() if name in used)
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def run(model: ir.Model, feed: np.ndarray) -> np.ndarray:
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return np.asarray(ort.InferenceSession(proto.SerializeToString()).run(None, {"x": feed})[0])


def ranks(model: ir.Model) -> list[int]:
    return [len(n.inputs[1].shape) for n in model.graph if n.op_type in ("Conv", "ConvTranspose")]  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize(
    "body",
    [
        "y = Conv<pads = [2, 2], dilations = [1]>(x, w)",
        'a = Conv<auto_pad = "SAME_UPPER", strides = [2]>(x, w) b = Relu(a) y = Conv(b, v)',
        "a = Conv<dilations = [2], pads = [4, 4]>(x, w) b = Mul(a, c) e = Add(b, l) m = Add(one, e) y = Conv(m, v)",
        "p = Pad(x, pads) a = Conv(p, w) m = MaxPool<kernel_shape = [2], strides = [2]>(a) y = Sigmoid(m)",
        "a = Conv(x, w) i = Slice(a, first, last, axis) j = Slice(i, first, last, back) y = Conv(j, v)",
        "a = Conv<group = 16, pads = [1, 1]>(x, d) j = Concat<axis = -1>(zeros, a) y = Conv(j, v)",
        "a = Conv<pads = [1, 1]>(x, v) j = Concat<axis = 1>(a, x) y = GlobalAveragePool(j)",
        "a = Conv(x, w) u = ConvTranspose<strides = [2], output_padding = [1], pads = [1, 1]>(a, t) y = BatchNormalization(u, s, s, s, s)",
        "a = Conv(x, w) p = AveragePool<kernel_shape = [3], pads = [1, 1], count_include_pad = 1>(a) y = PRelu(p, c)",
        "a = Conv(x, w) y = InstanceNormalization(a, s, s)",
        "a = Conv(x, w) n = Transpose<perm = [0, 2, 1]>(a) m = ReduceMean<axes = [1]>(n) b = Conv(a, v)"
        " f = ReduceMax<axes = [2], keepdims = 0>(b)"
        " q = Flatten(m) y = Add(q, f)",
    ],
)
def test_lines_say_the_same_in_rows(body: str) -> None:
    model, feed = read(body), normal(2, 16, 24)
    before = run(model, feed)
    assert lay_in_rows(model) == 1
    assert 3 not in ranks(model)
    np.testing.assert_allclose(run(model, feed), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        "a = Conv<pads = [2, 0, 2, 0]>(x, k) y = Add(a, cc)",
        "a = Conv<pads = [1, 1, 1, 1]>(x, odd) b = Relu(a) p = Pad(b, pads4) y = Conv(p, k)",
        "a = Conv<pads = [2, 0, 2, 0], strides = [2, 1]>(x, k) g = GlobalAveragePool(a) h = Sigmoid(g) y = Mul(a, h)",
        "a = Conv<pads = [4, 0, 4, 0], dilations = [2, 1]>(x, k) j = Concat<axis = 2>(a, x)"
        " y = MaxPool<kernel_shape = [3, 1], strides = [2, 1], ceil_mode = 1>(j)",
    ],
)
def test_columns_say_the_same_in_rows(body: str) -> None:
    model, feed = read(body, COLUMN), normal(2, 16, 24, 1)
    before = run(model, feed)
    assert lay_in_rows(model) == 1
    made = run(model, feed)
    assert made.shape == before.shape
    np.testing.assert_allclose(made, before, rtol=1e-4, atol=1e-5)
    kernels = [tuple(n.inputs[1].shape)[2:] for n in model.graph if n.op_type == "Conv"]  # type: ignore[union-attr, arg-type]
    assert (5, 1) not in kernels


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ("y = Conv(x, few)", LINE),  # five channels: the fast kernels do not take them
        ("y = Relu(x)", LINE),
        ("a = Transpose<perm = [0, 2, 1]>(x) y = MatMul(x, a)", LINE),
        ("y = Conv(x, k)", COLUMN),  # without pads a column is as fast
        ("y = Conv<pads = [2, 0, 2, 0]>(x, k)", "[2,16,24,7]"),  # an image
    ],
)
def test_what_gains_nothing_stays(body: str, shape: str) -> None:
    model = read(body, shape)
    nodes = [node.op_type for node in model.graph]
    assert lay_in_rows(model) == 0
    assert [node.op_type for node in model.graph] == nodes


def test_sizes_that_vary_and_names_stay() -> None:
    model = read("a = Conv<pads = [2, 2]>(x, w) y = Relu(a)", "[N,16,L]")
    model.graph.outputs[0].shape = ir.Shape(["N", 16, "L"])
    assert lay_in_rows(model) == 1
    assert [(v.name, v.shape) for v in model.graph.outputs] == [("y", ir.Shape(["N", 16, "L"]))]
    for batch, length in ((1, 9), (3, 40)):
        feed = normal(batch, 16, length)
        np.testing.assert_allclose(
            run(model, feed), run(read("a = Conv<pads = [2, 2]>(x, w) y = Relu(a)", "[N,16,L]"), feed), rtol=1e-4, atol=1e-5
        )


def test_branches_and_what_they_share() -> None:
    branch = "{n} () => (float[2,16,24] r{n}) {{ c{n} = Conv<pads = [2, 2]>(a, w) r{n} = {op}(c{n}) }}"
    body = (
        "a = Relu(x) all = ReduceSum<keepdims = 0>(x) f = Greater(all, one)"
        f" y = If (f) <then_branch = {branch.format(n='p', op='Tanh')}, else_branch = {branch.format(n='q', op='Abs')}>"
    )
    model = read(body)
    feeds = [normal(2, 16, 24) + 0.1, normal(2, 16, 24) - 0.1]
    before = [run(model, feed) for feed in feeds]
    made = simplify(model)
    assert sum(n.op_type == "Conv" and len(n.inputs[1].shape) == 4 for g in made.graphs() for n in g) == 2  # type: ignore[union-attr, arg-type]
    assert sum(value.const_value.size == WEIGHTS["w"].size for g in made.graphs() for value in g.initializers.values()) == 1  # type: ignore[union-attr]
    for feed, expected in zip(feeds, before, strict=True):
        np.testing.assert_allclose(run(made, feed), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("long", [True, False])
@pytest.mark.parametrize("written", [True, False])
def test_pads_of_long_kernels_stand_apart(long: bool, written: bool) -> None:
    size = 65 if long else 9
    model = read(
        "p = Pad(x, ends) y = Conv(p, row)" if written else f"y = Conv<pads = [0, {size // 2}, 0, {size // 2}]>(x, row)", "[1,16,1,128]"
    )
    rows = {"row": normal(16, 16, 1, size), "ends": np.array([0, 0, 0, size // 2, 0, 0, 0, size // 2], np.int64)}
    for name in rows if written else ("row",):
        model.graph.register_initializer(
            ir.Value(name=name, const_value=ir.tensor(rows[name], name=name), shape=ir.Shape(rows[name].shape))
        )
    model = ir.from_proto(onnx.shape_inference.infer_shapes(ir.to_proto(model)))
    feed = normal(1, 16, 1, 128)
    before = run(model, feed)
    assert keep_pads_apart(model) == int(long)
    assert keep_pads_apart(model) == 0
    np.testing.assert_allclose(run(model, feed), before, rtol=1e-4, atol=1e-5)
    if long:
        assert [node.op_type for node in model.graph] == ["Pad", "Reshape", "Conv"]
        assert [node.op_type for node in simplify(model).graph] == ["Pad", "Reshape", "Conv"]


def test_simplifying_lays_in_rows_and_keeps_the_file_as_small() -> None:
    model = read("i = Identity(x) a = Conv<pads = [2, 2]>(i, w) b = Relu(a) y = Conv(b, w)")
    made = simplify(model)
    assert Counter(n.op_type for n in made.graph) == {"Conv": 2, "Relu": 1, "Reshape": 2}
    assert sum(v.const_value.size for v in made.graph.initializers.values()) <= WEIGHTS["w"].size + 8  # type: ignore[union-attr, misc]
