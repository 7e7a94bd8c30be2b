"""Zeros in ONNX models, without PyTorch."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import numpy_helper

from optkit.cli import main
from optkit.errors import NothingPaid, UsageError
from optkit.formats import read_artifact
from optkit.optimize import optimize
from optkit.recipe.reading import make_pass

TEXT = """
<ir_version: 9, opset_import: ["" : 17]>
small (float[N, 3, 6, 6] x) => (float[N, 5] y) <
  float[8, 3, 3, 3] first, float[8, 8, 3, 3] second, float[8, 12] turned, float[12, 5] last, float[5] bias
> {
  a = Conv (x, first)
  b = Relu (a)
  c = Conv (b, second)
  d = GlobalAveragePool (c)
  e = Flatten (d)
  f = MatMul (e, turned)
  y = Gemm (f, last, bias)
}
"""
AXES = {"second": 1, "turned": 0, "last": 0}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    made = onnx.parser.parse_model(
        TEXT.replace("float[8, 3, 3, 3] first, float[8, 8, 3, 3] second, float[8, 12] turned, float[12, 5] last, float[5] bias", "")
    )
    dice = np.random.default_rng(0)
    for name, shape in {"first": (8, 3, 3, 3), "second": (8, 8, 3, 3), "turned": (8, 12), "last": (12, 5), "bias": (5,)}.items():
        made.graph.initializer.append(numpy_helper.from_array(dice.standard_normal(shape).astype(np.float32), name))
    onnx.save(made, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def arrays(path: Path) -> dict[str, Any]:
    return {each.name: numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}


def test_the_smallest_weights_go_and_biases_stay(model: Path) -> None:
    made = optimize(read_artifact(model), [make_pass("prune_weights", {"sparsity": 0.6})], target=model.with_name("p.onnx"))
    before, after = arrays(model), arrays(made.path)
    names = ("first", "second", "turned", "last")
    total = sum(before[name].size for name in names)
    assert sum(int((after[name] == 0).sum()) for name in names) == round(0.6 * total)
    np.testing.assert_array_equal(after["bias"], before["bias"])
    assert made.lineage[-1].notes["sparsity"] == [0.0, pytest.approx(0.6, abs=1e-3)]


def test_two_of_four_along_the_inputs(model: Path) -> None:
    made = optimize(read_artifact(model), [make_pass("prune_two_four", {})], target=model.with_name("p.onnx"))
    found = arrays(made.path)
    for name, axis in AXES.items():
        rows = np.moveaxis(found[name], axis, -1)
        assert (np.count_nonzero(rows.reshape(*rows.shape[:-1], -1, 4), axis=-1) == 2).all()
    assert (found["first"] != 0).all()


def test_what_is_excluded_stays_and_a_pattern_must_match(model: Path) -> None:
    made = optimize(read_artifact(model), [make_pass("prune_weights", {"exclude": ["Conv", "last"]})], target=model.with_name("p.onnx"))
    before, after = arrays(model), arrays(made.path)
    assert [name for name in before if not np.array_equal(before[name], after[name])] == ["turned"]
    with pytest.raises(UsageError, match="'turnd' matches no layer") as caught:
        optimize(read_artifact(model), [make_pass("prune_weights", {"exclude": ["turnd"]})], target=model.with_name("q.onnx"))
    assert "did you mean 'turned'?" in str(caught.value.hint)


def test_pruning_twice_changes_nothing_and_says_so(model: Path) -> None:
    step = make_pass("prune_two_four", {})
    optimize(read_artifact(model), [step], target=model.with_name("p.onnx"))
    with pytest.raises(NothingPaid, match="are 0 already"):
        optimize(read_artifact(model.with_name("p.onnx")), [step], target=model.with_name("q.onnx"))
    with pytest.raises(UsageError, match="cannot be trained"):
        optimize(read_artifact(model), [make_pass("prune_weights", {"gradual": {}})], target=model.with_name("q.onnx"))


def test_the_command_says_what_zeros_are_good_for(model: Path) -> None:
    found = CliRunner().invoke(main, ["prune", str(model), "--pattern", "weights", "--sparsity", "90%", "--no-cache"])
    assert found.exit_code == 0, found.output
    said = " ".join(found.output.split())
    assert "0.0% → 90.0% of the weights" in said
    assert "no faster" in said
    assert "gzip" in said
    assert model.with_name("m.pruned.onnx").is_file()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--pattern", "2:4", "--sparsity", "70%"], "2:4 is a sparsity of 50%"),
        (["--pattern", "weights", "--round-to", "4"], "--round-to has no meaning with --pattern weights"),
        (["--pattern", "weights", "--sparsity", "100%"], "sparsity"),
        (["--importance", "luck"], "'luck' is not allowed"),
    ],
)
def test_options_that_mean_nothing_are_refused(model: Path, words: list[str], says: str) -> None:
    found = CliRunner().invoke(main, ["prune", str(model), *words])
    assert found.exit_code == 2
    assert says in found.output + found.stderr
    assert not model.with_name("m.pruned.onnx").exists()
