"""Every other pixel side by side, and one convolution over the image: the same answers."""

import numpy as np
import onnx_ir as ir
import pytest

from optkit.quantization.float_graph.focus import join_focus
from optkit.quantization.variants.build import build
from optkit.quantization.variants.candidates import STORED
from optkit.quantization.variants.learned import Learned

from ..tiny import draw, read, reference

END = 2**63 - 1


def cut(name: str, source: str, first: int, axis: int) -> str:
    return f"{name} = Slice({source}, f{first}, end, a{axis}, s2)"


def focus(order: str = "p q r s", height: int = 8, attributes: str = "pads=[1,0,2,1]", **more: object) -> ir.Model:
    """As YOLOX has it: (even, even), (odd, even), (even, odd), (odd, odd)."""
    body = [
        *(cut(name, "x", first, 2) for name, first in (("u", 0), ("v", 1))),
        *(cut(name, source, first, 3) for name, source, first in (("p", "u", 0), ("q", "v", 0), ("r", "u", 1), ("s", "v", 1))),
        f"z = Concat<axis=1>({', '.join(order.split())})",
        f"c = Conv<{attributes}>(z, w, b) y = Relu(c)",
    ]
    numbers = {f"f{i}": np.array([i]) for i in (0, 1)} | {f"a{i}": np.array([i]) for i in (2, 3)}
    weights = {"w": draw(5, 12, 3, 2), "b": draw(5), "end": np.array([END]), "s2": np.array([2]), **numbers, **more}
    return read(f"(float[N,3,{height},6] x) => (float[N,5,H,W] y) {{ {' '.join(body)} }}", **weights)


@pytest.mark.parametrize("order", ["p q r s", "s p r q"])
@pytest.mark.parametrize("attributes", ["pads=[1,0,2,1]", "strides=[2,1], pads=[1,1,1,1], kernel_shape=[3,2]", "dilations=[1,1]"])
def test_the_answers_stay_the_same(order: str, attributes: str) -> None:
    model = focus(order, attributes=attributes)
    made = model.clone()
    assert join_focus(made) == 1
    assert [n.op_type for n in made.graph] == ["Conv", "Relu"]
    feed = {"x": draw(2, 3, 8, 6, seed=7)}
    assert np.allclose(reference(made, feed)["y"], reference(model, feed)["y"], atol=1e-5)


def test_a_slice_of_both_axes_counts_too() -> None:
    starts = {f"f{i}{j}": np.array([i, j]) for i in (0, 1) for j in (0, 1)}
    model = read(
        """(float[N,1,4,6] x) => (float[N,3,2,3] y) {
            p = Slice(x, f00, end, a, s) q = Slice(x, f01, end, a, s) r = Slice(x, f10, end, a, s) t = Slice(x, f11, end, a, s)
            z = Concat<axis=1>(p, q, r, t) y = Conv(z, w) }""",
        **starts,
        end=np.array([4, 6]),
        a=np.array([2, 3]),
        s=np.array([2, 2]),
        w=draw(3, 4, 1, 1),
    )
    made = model.clone()
    assert join_focus(made) == 1
    assert [n.op_type for n in made.graph] == ["Conv"]
    feed = {"x": draw(1, 1, 4, 6, seed=7)}
    assert np.allclose(reference(made, feed)["y"], reference(model, feed)["y"], atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        focus(height=7, order="p p r r"),
        focus("p q r r"),
        focus(attributes="dilations=[2,1]"),
        focus(attributes='auto_pad="SAME_UPPER"'),
        focus(w=draw(5, 6, 3, 2), attributes="group=2"),
        focus(end=np.array([4])),
    ],
    ids=["odd height", "one twice", "gaps", "unknown pads", "groups", "not to the end"],
)
def test_others_stay_as_they_are(model: ir.Model) -> None:
    before = [n.op_type for n in model.graph]
    assert join_focus(model) == 0
    assert [n.op_type for n in model.graph] == before


def test_only_what_stays_float_is_joined() -> None:
    model = focus()
    assert "Slice" not in [n.op_type for n in build(model, STORED, Learned()).graph]
    assert join_focus(model, but=["c"]) == 0
