"""What integers slow down goes back to float, neighbours with it where a border would cost more."""

from pathlib import Path

import onnx_ir as ir
import pytest

from optkit.quantization.choosing.without_slow import without_slow
from optkit.quantization.variants.build import build
from optkit.quantization.variants.candidates import candidates
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.node_times import Profile, profile_nodes
from optkit.quantization.variants.treatment import Treatment, Way

from ..tiny import draw, grids_for, read, saved, values

PRODUCTS = "(float[N,8] x) => (float[N,8] y) { a = MatMul(x, w) b = MatMul(a, w) y = MatMul(b, w) }"
GATED = """(float[N,8,6,6] x) => (float[N,8,6,6] y) {
    c = Conv(x, w) g = HardSigmoid(c) h = Mul(c, g) d = Conv(h, w) i = HardSigmoid(d) j = Mul(d, i) y = Conv(j, w) }"""


def told(operator: str = "Conv", **microseconds: float) -> Profile:
    """All nodes are of one operator, since a float layer is only told by what computes one."""
    seconds = {n.replace("__", "_"): s * 1e-6 for n, s in microseconds.items()}
    return Profile(seconds, {}, dict.fromkeys(seconds, operator))


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        ({"a": 9, "b": 1, "y": 9}, {"a_int32": 2, "b_int32": 3, "y_int32": 2}, {"a", "y"}),
        ({"a": 9, "b": 1, "y": 9}, {"a_int32": 2, "b_int32": 1.1, "y_int32": 2}, None),  # a fiftieth of the whole is not worth a variant
        ({"a": 9, "b": 9, "y": 9}, {"a_int32": 2, "b_int32": 3, "y_int32": 2}, None),
        ({"a": 1, "b": 1, "y": 1}, {"a_int32": 2, "b_int32": 3, "y_int32": 2}, None),  # all of it: that is the float model
        ({}, {}, None),  # a device that tells no times by node
        ({"a": 9}, {"a_int32": 2, "elsewhere": 50}, None),
    ],
)
def test_dynamic_products(before: dict[str, float], after: dict[str, float], left: set[str] | None) -> None:
    model = read(PRODUCTS, w=draw(8, 8))
    start = Treatment("dynamic", dict.fromkeys("aby", Way.DYNAMIC))
    found, seconds = without_slow(model, start, told("MatMul", **before), told("MatMulInteger", **after))
    assert (None if found is None else set(found.ways)) == left
    assert seconds <= sum(after.values()) * 1e-6 + 1e-12
    if found is not None:
        assert found.name == "dynamic, 1 slow layer in float"
        assert seconds == pytest.approx(5e-6)


def test_a_fiftieth_is_tried_where_that_is_asked_for() -> None:
    model, start = read(PRODUCTS, w=draw(8, 8)), Treatment("dynamic", dict.fromkeys("aby", Way.DYNAMIC))
    after = told("MatMulInteger", a_int32=2, b_int32=1.1, y_int32=2)
    found, _ = without_slow(model, start, told("MatMul", a=9, b=1, y=9), after, worth=0.01)
    assert found is not None
    assert set(found.ways) == {"a", "y"}


@pytest.mark.parametrize(("in_float", "left"), [(3.2, {"a", "y"}), (3.5, None)])
def test_in_doubt_what_gains_little_computes_in_float(in_float: float, left: set[str] | None) -> None:
    model, start = read(PRODUCTS, w=draw(8, 8)), Treatment("dynamic", dict.fromkeys("aby", Way.DYNAMIC))
    before, after = told("MatMul", a=9, b=in_float, y=9), told("MatMulInteger", a_int32=2, b_int32=3, y_int32=2)
    assert without_slow(model, start, before, after, worth=-0.05)[0] is None  # integers gain something
    found, seconds = without_slow(model, start, before, after, worth=-0.05, doubt=0.1)
    assert (None if found is None else set(found.ways)) == left
    assert seconds == pytest.approx((4 + in_float if left is not None else 7) * 1e-6)  # what it will take, not what was doubted


def gated() -> tuple[ir.Model, Treatment]:
    model = read(GATED, w=draw(8, 8, 1, 1))
    return model, next(t for t in candidates(model, "static", True) if t.name == "static, whole regions")


def test_a_slow_layer_takes_what_is_fused_with_it_along() -> None:
    model, start = gated()
    before = told(c=10, d=10, y=10)  # gates are a part of the convolutions
    after = told(c=30, g__cut__off=1, h=2, d=3, i__cut__off=1, j=2, y=3)
    found, _ = without_slow(model, start, before, after)
    assert found is not None
    assert set(start.ways) - set(found.ways) == {"c", "g", "h"}
    assert found.name == "static, whole regions, 1 slow layer in float"


def test_conversions_count() -> None:
    """A layer between two others that gains nothing stays in integers while that saves two conversions."""
    model, start = gated()
    before = told(c=30, g=1, h=1, d=4, i=1, j=1, y=30)
    times = {"c": 3, "h": 1, "d": 5, "j": 1, "y": 3, "x_quantized_QuantizeLinear": 2, "h_quantized_QuantizeLinear": 2}
    seconds = {n: s * 1e-6 for n, s in times.items()}
    written = {"x_quantized_QuantizeLinear": 20_000, "c": 20_000, "h": 20_000, "d": 20_000, "j": 20_000, "y": 20_000}
    after = Profile(seconds, written, {"x_quantized_QuantizeLinear": "QuantizeLinear"})
    assert without_slow(model, start, before, after)[0] is None
    seconds["d"] = 40e-6
    found, _ = without_slow(model, start, before, Profile(seconds, written, after.operators))
    assert found is not None
    assert "d" not in found.ways


def test_real_profiles_have_every_node(tmp_path: Path) -> None:
    model, start = gated()
    feed = {"x": draw(2, 8, 6, 6)}
    names = [str(v.name) for n in model.graph for v in n.outputs]
    learned = Learned(grids=grids_for(model, ["x", *names], feed))
    made = build(model, start, learned)
    for name, each in (("before", model), ("after", made)):
        (tmp_path / name).write_bytes(saved(each))
    before, after = (profile_nodes(tmp_path / name, [feed], 1, "cpu") for name in ("before", "after"))
    assert set(after.operators.values()) >= {"QLinearConv", "QLinearMul", "QuantizeLinear"}
    assert after.written["x_quantized_QuantizeLinear"] == values(model, ["x"], feed)["x"].size
    assert after.whole == pytest.approx(sum(after.seconds.values()))
    found, seconds = without_slow(model, start, before, after)
    assert seconds <= after.whole
    assert found is None or set(found.ways) < set(start.ways)


def test_a_name_that_only_begins_like_the_layers_is_not_the_layer() -> None:
    """A change of layout behind a convolution may be called after it, and take next to nothing."""
    model, start = gated()
    before = told(c=50, d=50, y=50, y__reorder=1)
    misled = Profile({n: t for n, t in before.seconds.items() if n != "y"}, {}, {**before.operators, "y_reorder": "ReorderOutput"})
    after = told(c=3, g__cut__off=1, h=2, d=3, i__cut__off=1, j=2, y=20)
    assert without_slow(model, start, misled, after)[0] is None
