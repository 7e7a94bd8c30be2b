"""A graph with channels of alike range is a bench of its own, beside the plain one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from optkit.formats.onnx import load_model
from optkit.quantization.choosing.scaled import scaled, scaled_bench
from optkit.quantization.variants.calibrate import calibrate
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.quantization.variants.trial import Bench
from optkit.quantization.variants.wishes import Wishes

from ..tiny import draw, fused, operators, read, saved, watcher

IMAGES = draw(12, 3, 6, 6, seed=5)
SPREAD = np.array([0.02, 0.02, 0.02, 0.02, 0.1, 30], np.float32).reshape(-1, 1, 1, 1)
GELU = "d = Div(c, root) e = Erf(d) p = Add(e, one) m = Mul(c, p) a = Mul(m, half)"


def net(between: str) -> ir.Model:
    constants = {"half": np.float32(0.5), "one": np.float32(1), "root": np.float32(2**0.5)}
    w, v = draw(6, 3, 1, 1, seed=1) * SPREAD, draw(4, 6, 1, 1, seed=3) / SPREAD.transpose(1, 0, 2, 3)
    return read(
        f"(float[1,3,6,6] x) => (float[1,4,6,6] y) {{ c = Conv(x, w) {between} z = Conv(a, v) y = Relu(z) }}", w=w, v=v, **constants
    )


def plain(model: ir.Model, treatment: Treatment, folder: Path) -> Bench:
    path = folder / "original.onnx"
    path.write_bytes(saved(model))
    learned = calibrate(model, [treatment], watcher(x=IMAGES), "auto")
    return Bench(path, model, learned, [{"x": each[None]} for each in IMAGES], folder, "cpu", 1, 0, Wishes().judge)


STATIC = Treatment("static", {"c": Way.STATIC, "z": Way.STATIC})


def test_small_channels_beside_large_ones_survive(tmp_path: Path) -> None:
    bench = plain(net(GELU), STATIC, tmp_path)
    bench.scaled = other = scaled_bench(bench, STATIC, watcher(x=IMAGES), "auto")
    assert other is not None
    before, after = bench.attempt(STATIC), other.attempt(scaled(STATIC))
    assert before is not None
    assert after is not None
    assert after.fidelity.sqnr > before.fidelity.sqnr + 6
    assert (bench.of(before), bench.of(after)) == (bench, other)
    assert operators(other.model)["Mul"] > operators(bench.model)["Mul"]
    made = fused(load_model(after.path), tmp_path)
    assert (made["Gelu"], made["QLinearConv"]) == (1, 2)


@pytest.mark.parametrize("treatment", [Treatment("stored"), Treatment("dynamic", {"c": Way.DYNAMIC})])
def test_only_known_ranges_gain(tmp_path: Path, treatment: Treatment) -> None:
    bench = plain(net(GELU), treatment, tmp_path)
    assert scaled_bench(bench, treatment, watcher(x=IMAGES), "auto") is None


def test_without_examples_nothing_is_scaled(tmp_path: Path) -> None:
    assert scaled_bench(plain(net(GELU), STATIC, tmp_path), STATIC, None, "auto") is None


def test_rounding_is_learned_for_weights_that_alike_channels_make_unlike(tmp_path: Path) -> None:
    bench = plain(net(GELU), STATIC, tmp_path)
    other = scaled_bench(bench, STATIC, watcher(x=IMAGES), "auto")
    assert other is not None
    assert set(other.learned.rounded) == set(STATIC.ways)
    assert not bench.learned.rounded
    learned = other.attempt(scaled(STATIC))
    other.learned = replace(other.learned, rounded={})
    nearest = other.attempt(scaled(STATIC))
    assert learned is not None
    assert nearest is not None
    assert learned.fidelity.sqnr > nearest.fidelity.sqnr
