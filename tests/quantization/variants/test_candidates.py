"""Which variants are tried on which graph."""

import pytest

from optkit.quantization.variants.candidates import candidates, excluded
from optkit.quantization.variants.treatment import Way

from ..tiny import draw, read

MIXED = read(
    """(float[N,8,6,6] x) => (float[N,4] z) {
        c = Conv<pads=[1,1,1,1]>(x, w) r = Relu(c) p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r) f = Flatten(p) g = Gemm(f, k)
        t = Tanh(g) m = MatMul(t, u) z = Softmax(m) }""",
    w=draw(8, 8, 3, 3),
    k=draw(72, 16),
    u=draw(16, 4),
)
PRODUCTS = read("(float[N,5,16] x) => (float[N,5,4] y) { a = MatMul(x, w) r = Relu(a) y = MatMul(r, v) }", w=draw(16, 16), v=draw(16, 4))
STATIC, FLOAT_OUT, DYNAMIC = Way.STATIC, Way.STATIC_FLOAT_OUT, Way.DYNAMIC


def names(method: str, calibrated: bool, graph: object = None) -> list[str]:
    return [t.name for t in candidates(PRODUCTS if graph is PRODUCTS else MIXED, method, calibrated)]


def test_every_method_and_what_it_needs() -> None:
    assert names("auto", True) == [
        "static, whole regions",
        "static",
        "static, dynamic matrix products",
        "static, float matrix products",
        "dynamic",
        "dynamic, smoothed",
        "8-bit weights, float compute",
    ]
    assert names("static", True) == ["static, whole regions", "static"]
    assert names("dynamic", True) == ["dynamic", "dynamic, smoothed"]
    assert names("weights", True) == names("weights", False) == ["8-bit weights, float compute"]
    assert names("auto", False) == ["dynamic", "8-bit weights, float compute"]
    assert names("dynamic", False) == ["dynamic"]
    assert names("static", False) == []


def test_known_outliers_are_enough_for_smoothing() -> None:
    assert [t.name for t in candidates(MIXED, "auto", False, outliers_known=True)] == [
        "dynamic",
        "dynamic, smoothed",
        "8-bit weights, float compute",
    ]
    assert [t.name for t in candidates(MIXED, "static", False, outliers_known=True)] == []


def test_ways_follow_from_operators() -> None:
    by_name = {t.name: dict(t.ways) for t in candidates(MIXED, "auto", True)}
    assert by_name["static"] == {"c": STATIC, "g": STATIC, "m": FLOAT_OUT}
    assert by_name["static, whole regions"] == {"c": STATIC, "p": STATIC, "f": STATIC, "g": STATIC, "m": FLOAT_OUT}
    assert by_name["static, dynamic matrix products"] == {"c": STATIC, "g": STATIC, "m": DYNAMIC}
    assert by_name["static, float matrix products"] == {"c": STATIC, "g": STATIC}
    assert by_name["dynamic"] == by_name["dynamic, smoothed"] == {"g": DYNAMIC, "m": DYNAMIC}
    assert [t.name for t in candidates(MIXED, "auto", True) if t.smooth] == ["dynamic, smoothed"]


def test_a_graph_of_matrix_products_alone() -> None:
    found = {t.name: dict(t.ways) for t in candidates(PRODUCTS, "auto", True)}
    assert list(found) == ["static", "dynamic", "dynamic, smoothed", "8-bit weights, float compute"]
    assert found["static"] == {"a": FLOAT_OUT, "y": FLOAT_OUT}


def test_convolutions_alone_are_not_made_dynamic() -> None:
    model = read("(float[N,8,6,6] x) => (float[N,8,6,6] y) { y = Conv(x, w) }", w=draw(8, 8, 1, 1))
    assert [t.name for t in candidates(model, "auto", False)] == ["8-bit weights, float compute"]
    assert candidates(model, "dynamic", True) == []


def test_products_in_branches_are_treated_as_others() -> None:
    model = read(
        """(bool k, float[4,16] x) => (float[4,16] y) {
            y = If (k) < then_branch = t () => (float[4,16] p) { p = MatMul(x, w) },
                         else_branch = e () => (float[4,16] q) { q = Gemm(x, v) } > }""",
        w=draw(16, 16),
        v=draw(16, 16),
    )
    found = candidates(model, "auto", True)
    assert [t.name for t in found][:1] == ["static"]
    assert {t.name: dict(t.ways) for t in found}["dynamic"] == {"p": DYNAMIC, "q": DYNAMIC}
    assert [t.name for t in candidates(model, "auto", False)] == ["dynamic", "8-bit weights, float compute"]


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["g"], {"c", "m"}),
        (["Gemm"], {"c", "m"}),
        (["[cg]"], {"m"}),
        (["Conv", "MatMul"], {"g"}),
        (["*"], set()),
        (["MaxPool"], {"c", "g", "m"}),
        (["nothing", "conv"], {"c", "p", "f", "g", "m"}),
    ],
)
def test_what_is_excluded_is_in_no_variant(patterns: list[str], left: set[str]) -> None:
    found = candidates(MIXED, "auto", True, patterns)
    assert set().union(*(t.ways for t in found)) == left
    assert found[-1].name == "8-bit weights, float compute"


def test_patterns_are_names_or_operators_with_wildcards() -> None:
    node = MIXED.graph[0]
    node.name, kept = "/encoder/layer.3/conv", node.name
    try:
        assert excluded(node, ["*/layer.3/*"])
        assert excluded(node, ["Con?"])
        assert not excluded(node, ["layer.3", "conv", "MatMul"])
    finally:
        node.name = kept


def test_native_variants_say_so() -> None:
    assert {t.portable for t in candidates(MIXED, "auto", True) if t.ways} == {True}
    assert {t.portable for t in candidates(MIXED, "auto", True, portable=False) if t.ways} == {False}


HEAD = """(float[N,8,6,6] x) => (float[N,C] z) {
    c = Conv<pads=[1,1,1,1]>(x, w) r = Relu(c) p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r) f = Flatten(p) %s }"""


def test_a_heavy_last_product_may_find_its_ranges_as_it_goes() -> None:
    model = read(HEAD % "g = Gemm(f, k) z = Relu(g)", w=draw(8, 8, 3, 3), k=draw(72, 300))
    last = next(t for t in candidates(model, "auto", True) if t.name == "static, dynamic last product")
    assert {n: w for n, w in last.ways.items() if n in ("c", "g")} == {"c": STATIC, "g": DYNAMIC}
    assert "static, dynamic last product" not in [t.name for t in candidates(model, "static", True)]
    assert "static, dynamic last product" not in [t.name for t in candidates(model, "auto", False)]


def test_light_products_and_those_in_between_stay_as_they_are() -> None:
    between = read(HEAD % "g = Gemm(f, k) t = Tanh(g) m = Gemm(t, u) z = Relu(m)", w=draw(8, 8, 3, 3), k=draw(72, 72), u=draw(72, 2))
    light = read(HEAD % "a = GlobalAveragePool(p) b = Flatten(a) g = Gemm(b, u) z = Relu(g)", w=draw(64, 8, 3, 3), u=draw(64, 2))
    alone = read("(float[N,64] x) => (float[N,C] z) { g = Gemm(x, k) z = Relu(g) }", k=draw(64, 80))
    for model in (between, light, alone):
        assert "static, dynamic last product" not in [t.name for t in candidates(model, "auto", True)]
