"""Ranges of a small network, calibrated by optkit, against inputs like those and unlike."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from optkit.arrays import Array
from optkit.cli import main
from optkit.datasets import Examples
from optkit.drift import Drift, TensorDrift, drift
from optkit.drift.judging import exceeds
from optkit.drift.show import draw
from optkit.drift.stored import Stored, stored_statistics
from optkit.errors import DataError, ModelError
from optkit.formats import read_artifact
from optkit.optimize import optimize
from optkit.passes.quantize_static import QuantizeStatic
from optkit.quantization.calibration.clipping import Fit


def port(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def network(path: Path) -> None:
    """x [n, 3, 8, 8] → convolution, ReLU, convolution, mean over the image, a matrix product."""
    rng = np.random.default_rng(0)
    weights = {"a": rng.normal(0, 0.3, (24, 3, 3, 3)), "b": rng.normal(0, 0.1, (24, 24, 3, 3)), "c": rng.normal(0, 0.5, (24, 4))}
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["p"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["p"], ["q"]),
        helper.make_node("Conv", ["q", "b"], ["r"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["r"], ["s"]),
        helper.make_node("ReduceMean", ["s"], ["t"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["t", "c"], ["y"]),
    ]
    ports = [port("x", "n", 3, 8, 8), port("y", "n", 4)]
    stored = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "small", ports[:1], ports[1:], stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def images(seed: int, count: int = 96) -> Array:
    return np.random.default_rng(seed).random((count, 3, 8, 8)).astype(np.float32)


def examples(x: Array) -> Examples:
    return Examples("recent.npz", {"x": x})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drift")
    network(folder / "model.onnx")
    made = folder / "model.int8.onnx"
    optimize(read_artifact(folder / "model.onnx"), [QuantizeStatic()], target=made, examples={"calibration": examples(images(1))})
    return made


def test_the_model_carries_a_short_record_of_its_calibration(model: Path) -> None:
    stored = stored_statistics(model)
    assert stored is not None
    assert stored.examples == 64
    assert "x" in stored.tensors
    assert 0 <= stored.tensors["x"].low < 0.01
    assert 0.99 < stored.tensors["x"].high <= 1
    note = json.dumps([vars(each) for each in stored.tensors.values()])
    assert len(note) < 120 * len(stored.tensors)


def test_inputs_like_those_of_calibration_fit(model: Path) -> None:
    for seed in (2, 3, 4):
        found = drift(model, examples(images(seed)))
        assert found.verdict == "fits", found
        assert found.calibrated_on == 64
        assert found.loss is not None
        assert found.loss < 1
        assert {each.verdict for each in found.tensors} == {"fits"}
        assert "fit as well as at calibration" in found.reason


@pytest.mark.parametrize("change", [lambda x: 2 * x, lambda x: x * 0.3, lambda x: x - 0.5], ids=["brighter", "darker", "shifted"])
def test_other_inputs_call_for_new_ranges_and_the_input_says_why(model: Path, change: Callable[[Array], Array]) -> None:
    found = drift(model, examples(change(images(2))))
    assert found.verdict == "recalibrate"
    (entry,) = [each for each in found.tensors if each.name == "x"]
    assert entry.verdict == "recalibrate"
    assert entry.loss > 3
    assert entry.shift is not None
    assert entry.shift > 0.4


def test_examples_that_are_no_numbers_are_refused(model: Path) -> None:
    x = images(2)
    x[7, 0] = np.nan
    with pytest.raises(DataError, match="is NaN in example 7"):
        drift(model, examples(x))


@pytest.mark.parametrize(("at", "verdict"), [(40, "fits"), (41, "recalibrate")])
def test_the_examples_seen_before_an_interrupt_are_judged(at: int, verdict: str, model: Path) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        if what == "looking at ranges" and done > at:
            raise KeyboardInterrupt

    x = images(2)
    found = drift(model, examples(2 * x if verdict == "recalibrate" else x), progress=interrupt)
    assert (found.examples, found.verdict, found.interrupted) == (at, verdict, True)
    assert found.reason.endswith(f"; it was interrupted after {at} of 96 examples")
    at = 3
    with pytest.raises(KeyboardInterrupt):
        drift(model, examples(x), progress=interrupt)


def test_clipping_is_what_lies_beyond_the_range(model: Path) -> None:
    x = 2 * images(2)
    (entry,) = [each for each in drift(model, examples(x)).tensors if each.name == "x"]
    scale = (entry.range[1] - entry.range[0]) / 255
    assert entry.clipped == pytest.approx(float((x > entry.range[1] + scale / 2).mean()), abs=1e-6)
    assert entry.clipped_then == 0
    assert entry.seen == pytest.approx((x.min(), x.max()))


def test_a_model_of_another_tool_is_judged_by_what_it_clips(model: Path, tmp_path: Path) -> None:
    bare = onnx.load(model)
    del bare.metadata_props[:]
    onnx.save(bare, tmp_path / "bare.onnx")
    darker, brighter = (drift(tmp_path / "bare.onnx", examples(images(2) * factor)) for factor in (0.3, 2))
    assert (darker.verdict, brighter.verdict) == ("fits", "recalibrate")
    assert darker.calibrated_on is None
    assert darker.tensors[0].loss_then is None
    assert "says nothing of its calibration" in darker.reason


def test_a_range_from_zero_behind_a_sum_is_a_rectifier_and_not_clipping(tmp_path: Path) -> None:
    """As other tools leave it: the quantizer of the convolution's result begins at 0 and stands for the ReLU."""
    stored = [numpy_helper.from_array(np.array(4 / 255, np.float32), "scale"), numpy_helper.from_array(np.array(0, np.uint8), "zero")]
    stored.append(numpy_helper.from_array(np.random.default_rng(0).normal(0, 0.3, (8, 3, 3, 3)).astype(np.float32), "w"))
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["p"]),
        helper.make_node("QuantizeLinear", ["p", "scale", "zero"], ["i"]),
        helper.make_node("DequantizeLinear", ["i", "scale", "zero"], ["y"]),
    ]
    ports = [port("x", "n", 3, 8, 8), port("y", "n", 8, 6, 6)]
    graph = helper.make_graph(nodes, "merged", ports[:1], ports[1:], stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    found = drift(tmp_path / "m.onnx", examples(images(1) - 0.5))
    assert (found.tensors[0].clipped, found.verdict) == (0, "fits")
    assert drift(tmp_path / "m.onnx", examples(20 * (images(1) - 0.5))).verdict == "recalibrate"


def branching(path: Path, *names: str) -> None:
    """x [n, 3] is quantized in the branch that `positive` takes, to 0 to 1, and in the other, to 0 to 2; there under these names."""
    zero = numpy_helper.from_array(np.array(0, np.uint8), "zero")
    branches = []
    for name, most in zip(names, (1, 2), strict=True):
        stored = [numpy_helper.from_array(np.array(most / 255, np.float32), f"scale{most}"), zero]
        nodes = [
            helper.make_node("Abs", ["x"], [name]),
            helper.make_node("QuantizeLinear", [name, f"scale{most}", "zero"], [f"i{most}"]),
            helper.make_node("DequantizeLinear", [f"i{most}", f"scale{most}", "zero"], [f"out{most}"]),
        ]
        branches.append(helper.make_graph(nodes, f"branch{most}", [], [port(f"out{most}", "n", 3)], stored))
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Greater", ["largest", "nothing"], ["positive"]),
        helper.make_node("If", ["positive"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    ports = [port(name, "n", 3) for name in "xy"]
    graph = helper.make_graph(nodes, "branching", ports[:1], ports[1:], [numpy_helper.from_array(np.array(0, np.float32), "nothing")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_ranges_in_branches_are_looked_at_where_they_are_reached(tmp_path: Path) -> None:
    branching(tmp_path / "m.onnx", "a", "b")
    x = np.random.default_rng(0).random((40, 3)).astype(np.float32)
    for seen, name, verdict in ((x, "a", "fits"), (4 * x, "a", "recalibrate"), (-x, "b", "fits"), (-8 * x, "b", "recalibrate")):
        found = drift(tmp_path / "m.onnx", examples(seen))
        assert [(each.name, each.verdict) for each in found.tensors] == [(name, verdict)]


def test_values_of_one_name_in_two_branches_are_left_out(tmp_path: Path) -> None:
    branching(tmp_path / "m.onnx", "a", "a")
    with pytest.raises(ModelError, match="no quantized activations"):
        drift(tmp_path / "m.onnx", examples(np.zeros((40, 3), np.float32)))


def test_what_has_no_calibrated_range(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no quantized activations"):
        drift(model.parent / "model.onnx", examples(images(1)))
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    ports = [port(name, "n", 3) for name in "xy"]
    graph = helper.make_graph(nodes, "dynamic", ports[:1], ports[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "d.onnx")
    found = drift(tmp_path / "d.onnx", examples(np.zeros((20, 3), np.float32)))
    assert (found.verdict, found.tensors) == ("fits", ())
    with pytest.raises(DataError, match="7 examples cannot tell"):
        drift(model, examples(images(1, 7)))


def fit(loss: float, spread: float, clipped: float = 0.01) -> Fit:
    return Fit(0, 1, clipped, loss, tuple(loss + spread * (-1) ** i for i in range(16)))


def test_a_range_is_wrong_only_beyond_chance_and_beyond_what_it_lost_before() -> None:
    assert exceeds(fit(5, 0.01), 0.5, 1)
    assert not exceeds(fit(5, 0.01), 2.5, 1)
    assert not exceeds(fit(5, 1.0), 0.5, 1)
    assert exceeds(fit(4, 0.05), 0.5, 1)
    assert not exceeds(fit(4, 0.05), 0.5, 5000)
    assert exceeds(fit(5, 0.01), None, 1)
    assert not exceeds(fit(5, 0.01, clipped=0.0), None, 1)


def run(*line: str) -> Any:
    return CliRunner().invoke(main, ["drift", *line], prog_name="optkit")


@pytest.mark.slow
def test_the_command_says_and_exits(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("same.npz", x=images(5))
    np.savez("other.npz", x=2 * images(5))
    fits, other = (run(str(model), "--data", f"{name}.npz", "-q") for name in ("same", "other"))
    assert (fits.exit_code, other.exit_code) == (0, 1)
    assert fits.stdout.startswith("model.int8.onnx: 96 examples of same.npz, calibrated on 64\ntensor ")
    assert "\nFITS: all " in fits.stdout
    assert "\nRECALIBRATE: " in other.stdout
    assert "hint: optkit quantize ORIGINAL.onnx --int8 --data other.npz" in other.stdout
    assert max(map(len, other.stdout.splitlines())) <= 80
    shown = run(str(model), "--data", "other.npz", "--samples", "20", "--json")
    read = json.loads(shown.stdout)
    assert (read["schema"], read["verdict"], read["examples"]) == (1, "recalibrate", 20)
    assert read["tensors"][0].keys() == {*TensorDrift.__dataclass_fields__}
    without = run(str(model))
    assert without.exit_code == 2
    assert "no data to look at" in without.stderr


def test_a_loss_that_few_examples_do_not_prove_is_said_to_be_open() -> None:
    from optkit.drift import _may_not_fit, _reason

    row = TensorDrift("a", (0, 1), (0, 1.2), 0.01, 9.4, (0, 1), 0.0, 0.2, 0.2, "fits")
    assert _may_not_fit(row)
    assert not _may_not_fit(replace(row, loss=2.0))
    assert not _may_not_fit(replace(row, loss_then=None))
    assert "1 of 6 ranges may: more examples would tell" in _reason(0, 6, 1, 0.5, False, Stored(64, {}))
    assert _reason(0, 6, 0, 0.5, False, Stored(64, {})) == "all 6 ranges fit as well as at calibration"


def test_it_fits_80_columns(golden: Callable[[str, str], None]) -> None:
    from rich.console import Console

    ends, then = (-2.875, 4.4625), (-2.5, 5.0)
    rows = tuple(
        TensorDrift(f"/layer{i}/a/long/name", ends, (-4.9, 1e-7 * 5**i), 0.4 / 5**i, 4.3 - i / 4, then, 0.0, 0.1, 0.2, "fits")
        for i in range(14)
    )
    rows = (replace(rows[0], verdict="recalibrate"), *rows[1:])
    found = Drift(1, "model.int8.onnx", "recent.npz[:64]", 64, 64, 1.3, 1.1, rows, "recalibrate", "1 of 14 ranges no longer fits")
    console = Console(width=80, highlight=False, color_system=None)
    with console.capture() as captured:
        draw(found, console)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    assert max(map(len, lines)) <= 80
    golden("drift/terminal.txt", "".join(f"{line}\n" for line in lines))
