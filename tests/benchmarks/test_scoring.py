"""Files judged without labels."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from side_by_side.scoring import Fidelity, judged_by_metric

from optkit.datasets import Examples
from optkit.errors import ModelError
from optkit.runtimes import open_session

PLAIN = "h = Identity(x) y = Add(x, big) z = Mul(x, two)"
WRONG = "h = Mul(x, off) y = Add(h, big) z = Mul(x, two)"
WORSE = "h = Mul(x, off) y = Add(x, big) z = Mul(h, zero)"


def saved(folder: Path, name: str, body: str) -> Path:
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g (float[N,4] x) => (float[N,4] y, float[N,4] z)
        <float big = {{1000}}, float two = {{2}}, float off = {{1.1}}, float zero = {{0}}> {{ {body} }}"""
    onnx.save(onnx.parser.parse_model(text), folder / name)
    return folder / name


def examples() -> Examples:
    return Examples("made up", {"x": np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)})


def fidelity(folder: Path, output: str | None = None) -> Fidelity:
    return Fidelity(open_session(saved(folder, "float.onnx", PLAIN)), examples(), output)


def test_a_constant_part_does_not_make_noise_look_small(tmp_path: Path) -> None:
    """A tenth of what varies is 20 dB, however large the rest is."""
    score = fidelity(tmp_path).of(saved(tmp_path, "wrong.onnx", WRONG))
    noise = 10 ** (-score.each / 10)
    assert np.mean(noise) == pytest.approx(0.01, rel=0.05)
    assert len(score.each) == 64


def test_the_output_that_suffers_most_counts_unless_one_is_named(tmp_path: Path) -> None:
    worse = saved(tmp_path, "worse.onnx", WORSE.replace("zero", "off"))
    assert fidelity(tmp_path).of(worse).value < 10
    assert fidelity(tmp_path, "y").of(worse).value == 120


def test_an_answer_that_never_changes_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="do not depend on the input"):
        fidelity(tmp_path, "z").of(saved(tmp_path, "worse.onnx", "y = Mul(x, zero) z = Mul(x, zero)"))


def test_an_answer_that_is_not_finite_is_refused_where_float32_gives_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not finite"):
        fidelity(tmp_path).of(saved(tmp_path, "broken.onnx", "y = Div(x, zero) z = Div(x, zero)"))


def test_a_metric_may_hold_a_file_against_float32(tmp_path: Path) -> None:
    original, same = saved(tmp_path, "float.onnx", PLAIN), saved(tmp_path, "same.onnx", WRONG)
    turned = saved(tmp_path, "turned.onnx", "y = Neg(x) z = Mul(x, two)")
    assert judged_by_metric("agreement", "z", examples(), same, original).value == 1
    assert judged_by_metric("agreement", "y", examples(), turned, original).value < 0.5
