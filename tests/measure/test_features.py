"""Vectors of features have no answer that could agree."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from optkit.arrays import Array
from optkit.datasets import Examples
from optkit.formats import read_artifact
from optkit.formats.onnx import load_model
from optkit.measure import Settings, measure
from optkit.measure._features import are_numbers, gives_features


def written(path: Path, graph: str) -> Path:
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {graph}'), path)
    return path


@pytest.mark.parametrize(
    ("graph", "output", "features"),
    [
        ("(float[N,4] x) => (float[N,4] y) { y = Tanh(x) }", None, True),
        ("(float[N,4] x) => (float[N,4] y) { t = Tanh(x) y = Identity(t) }", None, True),
        ("(float[N,4] x) => (float[N,4] y) { y = Softmax(x) }", None, False),
        ("(float[N,4] x) => (int64[N] i, float[N,4] y) { i = ArgMax<axis=1, keepdims=0>(x) y = Tanh(x) }", None, True),
        ("(float[N,4] x) => (float[N,4] y, float[N,4] z) { y = Tanh(x) z = Softmax(x) }", "z", False),
    ],
)
def test_the_graph_tells(graph: str, output: str | None, features: bool, tmp_path: Path) -> None:
    assert gives_features(load_model(written(tmp_path / "m.onnx", graph)).graph.outputs, output) is features


def points(count: int, moved: float, *shape: int) -> Array:
    """A pattern of points that every example moves a little."""
    rng = np.random.default_rng(0)
    return np.asarray(rng.uniform(0, 100, shape) + moved * rng.normal(size=(count, *shape)), np.float32)


@pytest.mark.parametrize(
    ("answers", "coordinates"),
    [
        (points(16, 5, 20), True),
        (points(16, 5, 1, 1, 20), True),
        (points(15, 5, 20), False),  # too few to tell
        (points(16, 5, 8), False),
        (points(16, 200, 20), False),  # examples differ
        (points(16, 5, 3, 20), False),  # several positions
        (np.full((16, 20), 0.05, np.float32), False),  # shares
        (np.zeros((16, 20), np.float32), False),
        (np.array([[3.7, 2.5, 2.7]] * 16, np.float32), True),  # grades: none is ever below zero
        (np.array([[3.7, -2.5, 2.7]] * 16, np.float32), False),
        (np.array([[3.7]] * 16, np.float32), False),  # one number is held against itself
        (np.full((16, 20), np.nan, np.float32), False),
        (np.zeros((16, 20), np.int64), False),
    ],
)
def test_coordinates_are_one_pattern_and_amounts_above_zero(answers: Array, coordinates: bool) -> None:
    assert are_numbers(answers) is coordinates


def test_agreement_is_not_measured_of_coordinates(tmp_path: Path) -> None:
    model = read_artifact(written(tmp_path / "m.onnx", "(float[N,20] x) => (float[N,20] y) { y = Neg(x) }"))
    for moved, metrics in ((5.0, ["cosine", "sqnr"]), (200.0, ["agreement", "cosine", "sqnr"])):
        (found,) = measure([model], Examples("made up", {"x": points(32, moved, 20)}), Settings(seconds=0.05, meters=()))
        assert [each.metric for each in found.samples] == metrics


@pytest.mark.parametrize(("operator", "metrics"), [("Tanh", ["cosine", "sqnr"]), ("Softmax", ["agreement", "cosine", "sqnr"])])
def test_agreement_is_measured_of_answers_only(operator: str, metrics: list[str], tmp_path: Path) -> None:
    model = read_artifact(written(tmp_path / "m.onnx", f"(float[N,4] x) => (float[N,4] y) {{ y = {operator}(x) }}"))
    examples = Examples("made up", {"x": np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)})
    (found,) = measure([model], examples, Settings(seconds=0.05, meters=()))
    assert [each.metric for each in found.samples] == metrics
