"""The pass `prune_channels` on ONNX files: what it writes and says, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.errors import DataError, NothingPaid, OptkitError, UsageError
from optkit.formats import read_artifact
from optkit.passes import Job, _onnx_channels
from optkit.passes.prune_channels import PruneChannels
from optkit.pruning.graph.prune import nothing_prunable
from optkit.stats.interval import Interval

X = np.random.default_rng(0).normal(size=(64, 3, 6, 6)).astype(np.float32)


@pytest.fixture(autouse=True)
def _short_races(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_onnx_channels, "SECONDS", 0.1)


@pytest.fixture
def source(net: Any, tmp_path: Path) -> Artifact:
    made = net()
    wide = made.conv("x", 3, 16, 3)
    path = tmp_path / "model.onnx"
    pooled = made.add("Flatten", made.add("GlobalAveragePool", made.conv(wide, 16, 24)))
    ir.save(made.model(made.add("Gemm", pooled, made.weight(24, 5))), path)
    return read_artifact(path)


def prune(source: Artifact, target: str = "pruned.onnx", rows: int = 64, **parameters: Any) -> tuple[Path, dict[str, Any]]:
    job = Job(source, Examples("x.npz", {"x": X[:rows]}) if rows else None)
    path = source.path.with_name(target)
    PruneChannels(**parameters).run(source, path, job)
    return path, job.notes


@pytest.mark.slow
def test_it_shrinks_and_says_what_went(source: Artifact) -> None:
    path, notes = prune(source, ratio=0.4)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert notes["parameters"] == [sum(int(np.prod(t.dims)) for t in onnx.load(p).graph.initializer) for p in (source.path, path)]
    assert notes["macs"][1] < notes["macs"][0]
    assert notes["importance"] == "least_squares"
    assert notes["measured_sqnr"] > notes["measured_sqnr_before_refit"]
    assert set(notes["kept"]) | set(notes["left whole"]) == {"Conv_0", "Conv_2"}
    assert len(notes["measured_ratio"]) == 3


@pytest.mark.slow
def test_the_same_bytes_again(source: Artifact) -> None:
    assert prune(source, "a.onnx", macs=0.6)[0].read_bytes() == prune(source, "b.onnx", macs=0.6)[0].read_bytes()


@pytest.mark.slow
def test_few_examples_are_told(source: Artifact) -> None:
    assert any("by few examples (8)" in remark for remark in prune(source, rows=8, macs=0.9, round_to=1)[1]["remarks"])


@pytest.mark.parametrize(
    ("parameters", "error", "said"),
    [
        ({"exclude": ("head*",)}, UsageError, "matches no layer"),
        ({"exclude": ("Conv*",)}, NothingPaid, "no channels can be removed"),
        ({"importance": "taylor"}, UsageError, "needs a PyTorch model"),
        ({"ratio": 0.95}, UsageError, "more than may go"),
        ({"round_to": 64}, NothingPaid, "too narrow"),
        ({"rows": 0}, DataError, "chosen by what examples show"),
    ],
)
def test_refusals(source: Artifact, parameters: dict[str, Any], error: type[OptkitError], said: str) -> None:
    with pytest.raises(error, match=said) as refused:
        prune(source, **parameters)
    assert refused.value.hint


def test_what_answers_otherwise_is_refused(source: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_onnx_channels, "LEAST", 119.0)
    with pytest.raises(NothingPaid, match="answers otherwise"):
        prune(source, ratio=0.4)


@pytest.mark.parametrize(("low", "refused"), [(1.3, True), (1.1, False)])
def test_what_takes_longer_is_refused(source: Artifact, monkeypatch: pytest.MonkeyPatch, low: float, refused: bool) -> None:
    monkeypatch.setattr(_onnx_channels, "race", lambda *_, **__: [Interval(1.0, 1.0, 1.0), Interval(1.5, low, 1.7)])
    if not refused:
        assert prune(source, ratio=0.4)[1]["measured_ratio"] == [1.5, low, 1.7]
        return
    with pytest.raises(NothingPaid, match=r"takes 1\.50× the time"):
        prune(source, ratio=0.4)


def test_a_quantized_model_is_refused(net: Any, tmp_path: Path) -> None:
    made = net()
    scale, zero = made.constant(np.float32(0.1)), made.constant(np.uint8(0))
    rounded = made.add("DequantizeLinear", made.add("QuantizeLinear", "x", scale, zero), scale, zero)
    ir.save(made.model(made.conv(made.conv(rounded, 3, 16), 16, 4)), tmp_path / "model.onnx")
    with pytest.raises(UsageError, match="quantized already"):
        prune(read_artifact(tmp_path / "model.onnx"))


def test_a_model_without_layers_is_refused(net: Any, tmp_path: Path) -> None:
    made = net()
    ir.save(made.model(made.add("Relu", "x")), tmp_path / "model.onnx")
    with pytest.raises(NothingPaid, match="no convolutions"):
        prune(read_artifact(tmp_path / "model.onnx"))


def test_layers_in_branches_are_refused_for_what_they_are() -> None:
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 3, 9, 8])
    weight = numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "w")
    branch = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["b"])], "b", [], [onnx.ValueInfoProto(name="b")], [weight])
    also = helper.make_graph([helper.make_node("Relu", ["x"], ["a"])], "a", [], [onnx.ValueInfoProto(name="a")])
    yes = numpy_helper.from_array(np.asarray(True), "yes")
    choice = helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=also)
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 3, 9, 8])
    graph = helper.make_graph([choice], "g", [x], [y], [yes])
    model = ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    assert "in branches or loop bodies" in nothing_prunable(model, ()).what


@pytest.mark.slow
def test_a_size_is_searched_that_takes_the_time_wished(source: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(models: list[Path], *given: Any, **more: Any) -> list[Interval]:
        sizes = [sum(int(np.prod(t.dims)) for t in onnx.load(m).graph.initializer) for m in models]
        return [Interval(size / sizes[0], size / sizes[0], size / sizes[0]) for size in sizes]

    monkeypatch.setattr(_onnx_channels, "race", timed)
    notes = prune(source, latency=0.5, round_to=1)[1]
    assert 0.4 < notes["measured_ratio"][0] <= 0.5
    assert notes["measured_trials"][-1]["time"] == pytest.approx(notes["measured_ratio"][0], abs=0.05)
    monkeypatch.setattr(_onnx_channels, "race", lambda models, *a, **k: [Interval(1, 1, 1)] * len(models))
    with pytest.raises(NothingPaid, match="no size takes 1%"):
        prune(source, latency=0.01, round_to=1)
