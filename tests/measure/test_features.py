"""Vectors of features have no answer that could agree."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from optkit.datasets import Examples
from optkit.formats import read_artifact
from optkit.measure import Settings, measure
from optkit.measure._features import gives_features


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
    assert gives_features(read_artifact(written(tmp_path / "m.onnx", graph)), output) is features


@pytest.mark.parametrize(("operator", "metrics"), [("Tanh", ["cosine", "sqnr"]), ("Softmax", ["agreement", "cosine", "sqnr"])])
def test_agreement_is_measured_of_answers_only(operator: str, metrics: list[str], tmp_path: Path) -> None:
    model = read_artifact(written(tmp_path / "m.onnx", f"(float[N,4] x) => (float[N,4] y) {{ y = {operator}(x) }}"))
    examples = Examples("made up", {"x": np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)})
    (found,) = measure([model], examples, Settings(seconds=0.05, meters=()))
    assert [each.metric for each in found.samples] == metrics
