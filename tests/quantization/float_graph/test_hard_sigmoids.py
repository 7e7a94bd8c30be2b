"""HardSigmoid and HardSwish in single steps become what they are."""

import numpy as np
import pytest

from optkit.quantization.calibration.gates import gates
from optkit.quantization.float_graph.hard_sigmoids import name_hard_sigmoids

from ..tiny import answers, draw, operators, read

CONSTANTS = {"three": 3.0, "zero": 0.0, "six": 6.0, "sixth": 1 / 6, "five": 5.0, "one": 1.0, "some": draw(4)}
FEED = {"x": draw(3, 4, seed=1, scale=4.0)}


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ("a = Add(x, three) c = Clip(a, zero, six) y = Div(c, six)", "HardSigmoid"),
        ("a = Add(three, x) c = Clip(a, zero, six) y = Mul(sixth, c)", "HardSigmoid"),
        ("c = Clip(x, zero, six) y = Div(c, six)", "HardSigmoid"),
        ("a = Add(x, three) c = Clip(a, zero, six) d = Div(c, six) y = Mul(x, d)", "HardSigmoid Mul"),
        ("a = Add(x, three) c = Clip(a, zero, six) m = Mul(x, c) y = Div(m, six)", "HardSigmoid Mul"),
        ("a = Add(x, three) c = Clip(a, zero, six) m = Mul(c, x) y = Mul(m, sixth)", "HardSigmoid Mul"),
        ("c = Clip(x, zero, one) y = Mul(c, one)", "HardSigmoid"),
    ],
)
def test_each_way_to_write_it(steps: str, left: str) -> None:
    model = read(f"(float[N,4] x) => (float[N,4] y) {{ {steps} }}", 17, **{k: v for k, v in CONSTANTS.items() if k in steps})
    before = answers(model, FEED)["y"]
    assert name_hard_sigmoids(model) == 1
    assert [n.op_type for n in model.graph] == left.split()
    assert [v.name for v in model.graph.outputs] == ["y"]
    np.testing.assert_allclose(answers(model, FEED)["y"], before, rtol=1e-5, atol=1e-5)


def test_the_gate_behind_a_convolution_is_known_as_one() -> None:
    steps = "v = Conv(x, w) a = Add(v, three) c = Clip(a, zero, six) d = Div(c, six) m = Mul(v, d) y = Relu(m)"
    model = read(f"(float[N,3,5,5] x) => (float[N,4,5,5] y) {{ {steps} }}", w=draw(4, 3, 1, 1), three=3.0, zero=0.0, six=6.0)
    assert gates(model) == {}
    assert name_hard_sigmoids(model) == 1
    assert list(gates(model)) == ["v"]


@pytest.mark.parametrize(
    "steps",
    [
        "a = Add(x, three) c = Clip(a, zero, six) y = Div(c, five)",  # not to one
        "a = Add(x, three) c = Clip(a, one, six) y = Div(c, six)",
        "a = Add(x, three) c = Clip(a, zero, six) y = Div(six, c)",
        "a = Add(x, three) c = Clip(a, zero, six) d = Div(c, six) y = Add(d, c)",  # clipped values are read elsewhere
        "a = Add(x, three) c = Clip(a, zero, six) m = Mul(a, c) y = Neg(m)",
        "c = Clip(x, zero, six) y = Div(c, some)",
        "y = Clip(x, zero, six)",
    ],
)
def test_others_stay(steps: str) -> None:
    model = read(f"(float[N,4] x) => (float[N,4] y) {{ {steps} }}", 17, **{k: v for k, v in CONSTANTS.items() if k in steps})
    before = operators(model)
    assert name_hard_sigmoids(model) == 0
    assert operators(model) == before
