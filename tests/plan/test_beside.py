"""Functions of the user's that lie beside the recipe, wherever it is run from."""

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from optkit.errors import UsageError
from optkit.plan import make_plan
from optkit.plan.preview import preview
from optkit.recipe import read_recipe
from optkit.registry import import_named, looking_beside

OWN = """
import numpy as np

def data():
    x = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    return {"x": x, "labels": (x[:, 0] > 0).astype(np.int64)}

def score(outputs, labels):
    return (outputs["y"].argmax(-1) == labels).astype(float)
"""
RECIPE = """
model: m.onnx
data: {calibration: optkit_beside_own:data, evaluation: optkit_beside_own:data}
passes: [simplify_graph]
measure: {metrics: [optkit_beside_own:score]}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "optkit_beside_own.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "optkit_beside_own", raising=False)
    return tmp_path / "recipes"


def test_data_and_metric_are_found(folder: Path) -> None:
    weight = numpy_helper.from_array(np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32), "w")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name, size in (("x", 8), ("y", 2)))
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weight])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "m.onnx")
    (folder / "r.yaml").write_text(RECIPE, encoding="utf-8")
    seen = preview(make_plan(read_recipe(folder / "r.yaml")), None)
    assert {split: each.examples for split, each in seen.data.items()} == {"calibration": 40, "evaluation": 40}


def test_only_while_the_recipe_is_followed(folder: Path) -> None:
    with looking_beside(str(folder)):
        assert callable(import_named("optkit_beside_own:data"))
        with pytest.raises(UsageError, match="there is no module 'optkit_nowhere'") as caught:
            import_named("optkit_nowhere:data")
        assert str(folder) in str(caught.value.hint)
    sys.modules.pop("optkit_beside_own")
    with pytest.raises(UsageError, match="there is no module 'optkit_beside_own'"):
        import_named("optkit_beside_own:data")
    assert str(folder) not in sys.path
