"""The fixture as users have it: in a pytest of its own."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, save

pytest_plugins = ["pytester"]
INSTALLED = any(point.value == "optkit.pytest_plugin" for point in entry_points(group="pytest11"))
TEST = """
import pytest

def test_a_limit_that_holds(optkit_compare):
    report = optkit_compare("big.onnx", "small.onnx", data="data.npz", metric="top1", max_size=0.9, seconds=0.1, html="report.html")
    assert [check.outcome for check in report.verdict.checks] == ["passed"]
    assert {delta.metric for delta in report.comparisons[0].deltas} >= {"top1", "latency_median", "size"}

def test_a_limit_that_is_broken(optkit_compare):
    optkit_compare("small.onnx", "big.onnx", data="data.npz", max_size="50%", seconds=0.1)

def test_undecided(optkit_compare):
    with pytest.warns(UserWarning, match="undecided.*more examples would decide|more data would hardly decide") as caught:
        optkit_compare("big.onnx", "small.onnx", data="data.npz", metric="top1", max_drop="1%", seconds=0.1)
    assert caught[0].filename == __file__

def test_strict(optkit_compare):
    optkit_compare("big.onnx", "small.onnx", data="data.npz", metric="top1", max_drop="1%", seconds=0.1, strict=True)

def test_no_limits(optkit_compare):
    assert optkit_compare("big.onnx", "small.onnx", synthetic=True, seconds=0.1).verdict is None

def test_percent_without_its_sign(optkit_compare):
    from optkit.errors import UsageError
    with pytest.raises(UsageError, match="1 is not between 0 and 0.99"):
        optkit_compare("big.onnx", "small.onnx", data="data.npz", max_drop=1)
"""


def make_models(folder: Path) -> None:
    """Two of the same answers, one of which is larger; 20 examples, which decide nothing about 1 %."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(8, 8)).astype(np.float32)
    for name, extra in (("small", 0), ("big", 4000)):
        weights = [helper.make_tensor("w", TensorProto.FLOAT, [8, 8], weight.ravel())]
        weights.append(helper.make_tensor("unread", TensorProto.FLOAT, [extra], np.zeros(extra, np.float32)))
        ports = [helper.make_tensor_value_info(port, TensorProto.FLOAT, ["n", 8]) for port in "xy"]
        graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", ports[:1], ports[1:], weights)
        save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / f"{name}.onnx")
    inputs = rng.normal(size=(20, 8)).astype(np.float32)
    np.savez(folder / "data.npz", x=inputs, labels=(inputs @ weight).argmax(axis=1))


@pytest.mark.slow
def test_the_fixture_judges_in_a_users_tests(pytester: pytest.Pytester) -> None:
    make_models(pytester.path)
    pytester.makepyfile(TEST)
    plugin = "optkit" if INSTALLED else "optkit.pytest_plugin"
    done = pytester.runpytest_subprocess("-p", plugin, "-p", "no:cacheprovider", "-W", "error", "-v")
    done.assert_outcomes(passed=4, failed=2)
    done.stdout.fnmatch_lines(
        [
            "*big.onnx: FAILED: 1 of 1 limits broken",
            "failed --max-size 0.5: * of the size (*); 50% is allowed: *% of the original too large",
            "*FAILED: 1 of 1 limits undecided, and --strict takes that for broken",
            "undecided --max-drop 1%: top1 on cpu went from 100.00% to 100.00%: *",
        ]
    )
    assert "<html" in (pytester.path / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_loading_the_plug_in_loads_nothing_heavy() -> None:
    code = "import sys, pytest; before = set(sys.modules); import optkit.pytest_plugin; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["optkit", "optkit.pytest_plugin"]
