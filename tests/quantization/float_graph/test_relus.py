"""Activations behind a Concat of convolutions become a part of each."""

import numpy as np
import onnx_ir as ir
import pytest

from optkit.quantization.float_graph.prepare import prepare
from optkit.quantization.float_graph.relus import take_relus_forward

from ..tiny import draw, read, reference


def joined(activation: str = "Relu(z)", more: str = "", parts: str = "c, d", outputs: str = "float[N,8,6,6] y") -> ir.Model:
    return read(
        f"""(float[N,4,6,6] x) => ({outputs}) {{
            c = Conv(x, w, b) d = Conv(x, v) {more} z = Concat<axis=1>({parts}) y = {activation} }}""",
        w=draw(4, 4, 1, 1),
        b=draw(4),
        v=draw(4, 4, 1, 1, seed=1),
        low=np.float32(-0.5),
        high=np.float32(1.5),
    )


@pytest.mark.parametrize("activation", ["Relu(z)", "Clip(z, low, high)", "Clip(z, , high)"])
def test_the_answers_stay_the_same(activation: str) -> None:
    model, feed = joined(activation), {"x": draw(2, 4, 6, 6, seed=7)}
    made = prepare(model).model
    assert [n.op_type for n in made.graph][-1] == "Concat"
    assert np.array_equal(reference(made, feed)["y"], reference(model, feed)["y"])
    assert [v.name for v in made.graph.outputs] == ["y"]


@pytest.mark.parametrize(
    "model",
    [
        joined(more="s = Sin(c)", parts="s, d"),
        joined(parts="c, c", more="q = Neg(d)", outputs="float[N,8,6,6] y, float[N,4,6,6] q"),
        joined(outputs="float[N,8,6,6] y, float[N,8,6,6] z"),
        joined(outputs="float[N,8,6,6] y, float[N,4,6,6] d"),
        joined("Sigmoid(z)"),
    ],
    ids=["no convolution", "one twice", "the Concat is an answer", "a convolution is an answer", "no part of convolutions in integers"],
)
def test_others_stay_as_they_are(model: ir.Model) -> None:
    before = [n.op_type for n in model.graph]
    assert take_relus_forward(model) == 0
    assert [n.op_type for n in model.graph] == before
