"""Layers left in float between integer ones stay float in ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from optkit.quantization.variants.build import build
from optkit.quantization.variants.calibrate import calibrate
from optkit.quantization.variants.candidates import candidates

from ..tiny import answers, draw, fused, operators, read, watcher

CONVOLUTIONS = """(float[N,8,6,6] x) => (float[N,8,6,6] y) {{
    a = Conv(x, w) r = Relu(a) {middle} y = Conv(s, w) }}"""
X = draw(24, 8, 6, 6, seed=5)
SPREAD = draw(8, 8, 1, 1, seed=2) * np.geomspace(0.01, 1, 8, dtype=np.float32).reshape(8, 1, 1, 1)


def without_middle(model: ir.Model) -> ir.Model:
    static = next(t for t in candidates(model, "static", True) if t.name == "static")
    learned = calibrate(model, [static], watcher(x=X), "auto")
    return build(model, static.without(["b", "s"]), learned)


def by_channel(model: ir.Model) -> list[str]:
    return [str(n.name) for n in model.graph if str(n.outputs[0].name).endswith("_by_channel")]


@pytest.mark.parametrize(
    ("middle", "kept"),
    [
        ("b = Conv(r, v, c) s = Relu(b)", "Conv"),
        ("b = Conv(r, v) s = Clip(b, zero, six)", "Conv"),
        ("s = Conv(r, v)", "Conv"),
        ("b = ConvTranspose(r, v) s = Relu(b)", "ConvTranspose"),
    ],
)
def test_the_runtime_does_not_round_its_weights(middle: str, kept: str, tmp_path: Path) -> None:
    constants = {"c": draw(8, seed=3), "zero": np.float32(0), "six": np.float32(6)}
    used = {name: array for name, array in constants.items() if f", {name}" in middle}
    model = read(CONVOLUTIONS.format(middle=middle), w=draw(8, 8, 1, 1), v=SPREAD, **used)
    made = without_middle(model)
    there = fused(made, tmp_path)
    assert there["QLinearConv"] == 2
    assert by_channel(made)
    assert there[kept] + there["FusedConv"] == 1
    np.testing.assert_allclose(answers(made, {"x": X})["y"], answers(made, {"x": X}, optimize=False)["y"], atol=2e-2)


def test_what_other_nodes_read_as_well_is_dequantized_as_before() -> None:
    model = read(CONVOLUTIONS.format(middle="b = Conv(r, v) t = Relu(b) s = Add(t, r)"), w=draw(8, 8, 1, 1), v=SPREAD)
    made = without_middle(model)
    assert not by_channel(made)
    assert operators(made)["Conv"] == 3


def test_where_nothing_is_left_in_float_nothing_is_added() -> None:
    model = read(CONVOLUTIONS.format(middle="b = Conv(r, v) s = Relu(b)"), w=draw(8, 8, 1, 1), v=SPREAD)
    static = next(t for t in candidates(model, "static", True) if t.name == "static")
    made = build(model, static, calibrate(model, [static], watcher(x=X), "auto"))
    assert not by_channel(made)
