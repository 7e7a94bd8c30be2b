import numpy as np
import pytest

from optkit.quantization.float_graph.pads import join_pads

from ..tiny import answers, draw, read

IMAGE = {"x": draw(2, 3, 7, 8)}
WEIGHTS = {
    "w": draw(4, 3, 3, 3),
    "v": draw(5, 3, 1, 1),
    "pads": np.array([0, 0, 1, 0, 0, 0, 2, 1], np.int64),
    "deep": np.array([0, 0, 1, 0, 0, 1, 2, 1], np.int64),
    "less": np.array([0, 0, -1, 0, 0, 0, 2, 1], np.int64),
    "zero": np.float32(0),
    "one": np.float32(1),
    "u": draw(4, 4, 3, 3),
}


@pytest.mark.parametrize(
    ("body", "joined", "left"),
    [
        ("p = Pad(x, pads) y = Conv<strides = [2, 2]>(p, w)", 1, 0),
        ("p = Pad(x, pads, zero) y = Conv<pads = [1, 1, 0, 2]>(p, w)", 1, 0),
        ('p = Pad(x, pads) y = Conv<auto_pad = "VALID">(p, w)', 1, 0),
        ("p = Pad(x, pads) a = Conv<pads = [1, 1, 1, 1]>(p, w) b = Conv(p, v) y = Concat<axis = 1>(a, b)", 2, 0),
        ("p = Pad(x, pads) a = Conv(p, v) b = Relu(p) y = Concat<axis = 1>(a, b)", 1, 1),
        ('p = Pad(x, pads) y = Conv<auto_pad = "SAME_UPPER">(p, w)', 0, 1),
        ("p = Pad(x, pads, one) y = Conv(p, w)", 0, 1),
        ("p = Pad<mode = 'reflect'>(x, pads) y = Conv(p, w)".replace("'", '"'), 0, 1),
        ("p = Pad(x, deep) y = Conv(p, u)", 0, 1),
        ("p = Pad(x, less) y = Conv(p, w)", 0, 1),
    ],
)
def test_zeros_are_the_convolutions_own(body: str, joined: int, left: int) -> None:
    model = read(
        f"(float[N,3,7,8] x) => (float[N,C,H,W] y) {{ {body} }}", **{n: a for n, a in WEIGHTS.items() if f"{n})" in body or f"{n}," in body}
    )
    before = answers(model, IMAGE)["y"]
    assert join_pads(model) == joined
    assert sum(node.op_type == "Pad" for node in model.graph) == left
    np.testing.assert_allclose(answers(model, IMAGE)["y"], before, rtol=1e-4, atol=1e-5)
