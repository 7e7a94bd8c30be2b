"""What the machine can do, what operators have to do, and what can be expected of that."""

import dataclasses
from io import StringIO
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console

from optkit.datasets import Examples
from optkit.inspection import NodeTime, OperatorTime, Profile
from optkit.inspection.fused import nodes_within
from optkit.inspection.inspect_model import inspect_model, walk_model
from optkit.inspection.integers import Beside, integer_seconds
from optkit.inspection.peaks import measure_peaks
from optkit.inspection.predict import predict, roof_seconds
from optkit.inspection.profile import made_up_examples, profile_model
from optkit.inspection.roofline import Tried, costs_of, roofline, unrecorded_of
from optkit.inspection.show_roofline import show_roofline
from optkit.inspection.under_roof import Cost, Kernel, Peaks, Placed, Prediction, Roofline

from .tiny_models import floats, parse

PEAKS = Peaks(float32=1e10, int8=4e10, float16=None, bandwidth=1e9, cached=1e11)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A convolution, a depthwise one and a product."""
    dice = np.random.default_rng(0)
    shapes = {"w": (16, 8, 3, 3), "d": (16, 1, 3, 3), "f": (16 * 64, 32)}
    weights = [numpy_helper.from_array(dice.standard_normal(shape).astype(np.float32), name) for name, shape in shapes.items()]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "d"], ["b"], "depthwise", pads=[1, 1, 1, 1], group=16),
        helper.make_node("Flatten", ["b"], ["c"], "flat"),
        helper.make_node("MatMul", ["c", "f"], ["y"], "product"),
    ]
    ports = [helper.make_tensor_value_info(*each) for each in (("x", TensorProto.FLOAT, [1, 8, 8, 8]), ("y", TensorProto.FLOAT, [1, 32]))]
    graph = helper.make_graph(nodes, "network", ports[:1], ports[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "n.onnx")
    return tmp_path / "n.onnx"


def costs_by_name(path: Path) -> dict[str, Cost]:
    visits = walk_model(path, inspect_model(path).work.sizes).visits
    return {cost.node: cost for _, cost in costs_of(visits)}


def test_what_operators_have_to_do_is_counted(network: Path) -> None:
    costs = costs_by_name(network)
    kernel = Kernel("Conv", (1, 8, 8, 8), ((16, 8, 3, 3),), (("pads", (1, 1, 1, 1)),))
    assert costs["conv"] == Cost("conv", "Conv", 16 * 8 * 9 * 64, 4 * (8 * 64 + 16 * 64), 4 * 16 * 8 * 9, False, kernel)
    assert costs["depthwise"].depthwise
    assert costs["depthwise"].macs == 16 * 9 * 64
    kernel = Kernel("MatMul", (1, 16 * 64), ((16 * 64, 32),))
    assert costs["product"] == Cost("product", "MatMul", 16 * 64 * 32, 4 * (16 * 64 + 32), 4 * 16 * 64 * 32, False, kernel)


def test_a_model_is_placed_under_its_roof(network: Path) -> None:
    found = inspect_model(network)
    profile = profile_model(network, made_up_examples(found.inputs, found.work.sizes), most=0.1)
    under = roofline(dataclasses.replace(found, profile=profile), PEAKS)
    assert {each.cost.node for each in under.placed} == {"conv", "depthwise", "product"}
    assert all(0 <= each.reached <= 1 for each in under.placed)
    assert 0 <= under.reached <= 1
    assert under.macs == found.work.macs
    assert {each.change for each in under.predictions} == {"INT8", "INT4 weights", "FP16", "half the channels", "batch 8"}
    with pytest.raises(ValueError, match="not profiled"):
        roofline(found, PEAKS)


def residual(path: Path) -> Path:
    """Small in its first convolution and large in the last, which the runtime fuses with what follows and lays out its own way."""
    dice = np.random.default_rng(0)
    shapes = {"w1": (16, 3, 3, 3), "w2": (16, 16, 3, 3), "w3": (16, 16, 3, 3), "w4": (64, 16, 5, 5), "f": (64, 8), "bias": (8,)}
    weights = [numpy_helper.from_array(dice.standard_normal(shape).astype(np.float32), name) for name, shape in shapes.items()]
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "first", pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "w2"], ["c"], "second", pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["d"], "relu2"),
        helper.make_node("Conv", ["d", "w3"], ["e"], "third", pads=[1] * 4),
        helper.make_node("Add", ["e", "b"], ["g"], "sum"),
        helper.make_node("Relu", ["g"], ["h"], "relu3"),
        helper.make_node("Conv", ["h", "w4"], ["i"], "last", pads=[2] * 4),
        helper.make_node("GlobalAveragePool", ["i"], ["j"], "pool"),
        helper.make_node("Flatten", ["j"], ["k"], "flat"),
        helper.make_node("MatMul", ["k", "f"], ["l"]),
        helper.make_node("Add", ["l", "bias"], ["y"], "biased"),
    ]
    ports = [helper.make_tensor_value_info(*each) for each in (("x", TensorProto.FLOAT, [1, 3, 48, 48]), ("y", TensorProto.FLOAT, [1, 8]))]
    graph = helper.make_graph(nodes, "residual", ports[:1], ports[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_operators_take_the_time_that_the_profile_measured(tmp_path: Path) -> None:
    found = inspect_model(residual(tmp_path / "r.onnx"))
    profile = profile_model(Path(found.path), made_up_examples(found.inputs, found.work.sizes), most=0.2, named=None)
    undisturbed = dataclasses.replace(profile, seconds=1.0, unrecorded=None)  # recording is taken to cost nothing
    under = roofline(dataclasses.replace(found, profile=undisturbed), PEAKS, tried=Tried(drafts=()))
    placed = {each.cost.node: each for each in under.placed}
    assert set(placed) == {"first", "second", "third", "last", "l"}
    assert not any(each.estimated for each in placed.values())
    times = {node.node: node.seconds for node in profile.slowest}
    assert [each.seconds for each in under.placed] == pytest.approx([times[each.run_as] for each in under.placed if each.run_as])
    multiplying = {node.node for node in profile.slowest if any(kind in node.operator for kind in ("Conv", "Gemm", "MatMul"))}
    assert {each.run_as for each in placed.values()} == multiplying, "every node has one operator, and none is left"
    assert len(multiplying) == len(placed)
    assert max(placed.values(), key=lambda each: each.seconds).cost.node == "last", "it multiplies eleven times as much as any other"


def test_an_operator_is_held_against_the_time_that_was_measured(tmp_path: Path) -> None:
    found = inspect_model(residual(tmp_path / "r.onnx"))
    profile = profile_model(Path(found.path), made_up_examples(found.inputs, found.work.sizes), most=0.1, named=None)
    under = roofline(dataclasses.replace(found, profile=profile), dataclasses.replace(PEAKS, float32=1e12), tried=Tried(drafts=()))
    for each in under.placed:
        least = max(each.cost.macs / 1e12, (each.cost.moved + each.cost.weights) / PEAKS.cached)
        assert each.reached == pytest.approx(min(1.0, least / each.seconds))


def test_what_a_branch_computes_that_did_not_run_has_no_measured_time(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["": 17]> g (bool[1] flag, float[1, 64] x) => (float[1, 64] y)
        { y = If (flag) <then_branch = t () => (float[1, 64] p) { a = MatMul (x, w)  p = MatMul (a, w) },
                         else_branch = e () => (float[1, 64] q) { q = MatMul (x, w) }> }"""
    model = parse(text, {"w": floats(64, 64)})
    for number, node in enumerate(nodes_within(model.graph)):
        node.name = f"node {number}"
    onnx.save(model, tmp_path / "if.onnx")
    found = inspect_model(tmp_path / "if.onnx")
    for flag, estimated in ((True, {False}), (False, {True})):
        data = Examples("d", {"flag": np.array([flag] * 2), "x": floats(2, 64)})
        profile = profile_model(tmp_path / "if.onnx", data, most=0.1, named=None)
        under = roofline(dataclasses.replace(found, profile=profile), PEAKS, tried=Tried(drafts=()))
        assert len(under.placed) == 2, "of the dearer branch"
        assert {each.estimated for each in under.placed} == estimated


def predicted(nodes: list[Placed], whole: float, overhead: float = 0.0, peaks: Peaks = PEAKS, device: str = "cpu") -> dict[str, Prediction]:
    return {each.change: each for each in predict("m.onnx", nodes, whole, overhead, peaks, 1e11, device)}


def conv(seconds: float, integer: float | None, crossing: int = 0) -> Placed:
    return Placed(Cost("c", "Conv", 10**8, 10**4, 10**4, False, crossing=crossing), seconds, "compute", 0.5, integer)


def product(seconds: float, integer: float | None) -> Placed:
    return Placed(Cost("p", "MatMul", 10**8, 10**4, 10**4, False), seconds, "compute", 0.5, integer)


def test_int8_takes_what_its_kernels_were_timed_at() -> None:
    found = predicted([conv(0.02, 0.005)], 0.04)
    assert found["INT8"].speedup == pytest.approx(0.04 / 0.025)
    assert found["INT8"].why == "timed here: Conv 20.0 ms → 5.00 ms"
    assert found["INT8"].command == "optkit quantize m.onnx --int8 --data DATA"
    assert found["FP16"].speedup == pytest.approx(1)


def test_products_go_to_integers_one_by_one_and_convolutions_together() -> None:
    assert predicted([product(0.02, 0.03), product(0.02, 0.01)], 0.04)["INT8"].speedup == pytest.approx(4 / 3)
    assert predicted([conv(0.02, 0.03), conv(0.02, 0.01)], 0.04)["INT8"].speedup == pytest.approx(1)
    assert predicted([conv(0.02, 0.04), product(0.02, 0.01)], 0.04)["INT8"].speedup == pytest.approx(4 / 3)


def test_what_leaves_integers_and_comes_back_pays_for_it() -> None:
    dear = dataclasses.replace(PEAKS, crossing=1e-8)
    found = predicted([conv(0.02, 0.005, crossing=10**6)], 0.02, peaks=dear)["INT8"]
    assert found.speedup == pytest.approx(0.02 / 0.015)
    assert "10.0 ms more to leave integers and come back" in found.why
    assert predicted([conv(0.02, 0.005, crossing=10**7)], 0.02, peaks=dear)["INT8"].speedup == 1


def test_where_calls_are_what_costs_only_batches_help() -> None:
    called = dataclasses.replace(PEAKS, call=1e-6, run=1e-5)
    small = Placed(Cost("c", "Conv", 100, 100, 100, False), 1e-6, "overhead", 1.0, 1e-6)
    found = predicted([small], 2e-5, overhead=1.8e-5, peaks=called)
    assert found["batch 8"].speedup == pytest.approx(2e-5 / (2e-5 - 1.8e-5 * 7 / 8))
    assert max(each.speedup for change, each in found.items() if change != "batch 8") == pytest.approx(1)


def test_on_other_devices_the_peak_is_all_there_is() -> None:
    kernel = Kernel("Conv", (1, 8, 8, 8), ((16, 8, 3, 3),))
    node = Placed(Cost("c", "Conv", 10**8, 10**4, 10**4, False, kernel), 0.02, "compute", 0.5)
    found = predicted([node], 0.02, device="cuda")
    assert found["INT8"].speedup == pytest.approx(4)
    assert all(each.command is None or each.command.endswith("--device cuda") for each in found.values())


def test_fewer_bits_help_what_waits_for_memory() -> None:
    waiting = Placed(Cost("p", "MatMul", 10**6, 10**3, 10**8, False), 0.1, "memory", 1.0)
    found = {each.change: each.speedup for each in predict("m.onnx", [waiting], 0.1, 0.0, PEAKS, PEAKS.bandwidth, "cpu")}
    assert found["INT4 weights"] == pytest.approx(1 / 0.14, rel=0.01)
    assert found["batch 8"] == pytest.approx(8, rel=0.01)


def test_what_lies_in_caches_waits_for_no_weights_and_without_kernels_half_precision_is_float32() -> None:
    plain = dataclasses.replace(PEAKS, float16=None, cached=4 * PEAKS.bandwidth)
    waiting = Placed(Cost("p", "MatMul", 10**6, 10**3, 10**6, False), 1e-3, "memory", 1.0)
    found = {each.change: each.speedup for each in predict("m.onnx", [waiting], 1e-3, 0.0, plain, plain.cached, "cpu")}
    assert found["INT4 weights"] == found["FP16"] == 1
    fast = dataclasses.replace(plain, float16=2 * plain.float32)
    found = {each.change: each.speedup for each in predict("m.onnx", [waiting], 1e-3, 0.0, fast, fast.cached, "cpu")}
    assert found["FP16"] == pytest.approx(2, rel=0.01)


def test_kernels_tell_shapes_and_what_leaves_integers(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    shapes = {"w": (16, 8, 3, 3), "v": (4, 16, 1, 1), "f": (32, 4 * 64), "W": (2, 16, 5), "R": (2, 16, 4)}
    weights = [numpy_helper.from_array(dice.standard_normal(shape).astype(np.float32), name) for name, shape in shapes.items()]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"], "relu"),
        helper.make_node("HardSwish", ["r"], ["b"], "swish"),
        helper.make_node("Conv", ["b", "v"], ["c"], "second"),
        helper.make_node("Flatten", ["c"], ["d"], "flat"),
        helper.make_node("Gemm", ["d", "f"], ["y"], "product", transB=1),
        helper.make_node("LSTM", ["s", "W", "R"], ["z"], "lstm", hidden_size=4, direction="bidirectional"),
    ]
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", [1, 8, 8, 8]), ("s", [3, 1, 5]))]
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", "z")]
    graph = helper.make_graph(nodes, "kernels", given, made, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "k.onnx")
    costs = costs_by_name(tmp_path / "k.onnx")
    assert costs["first"].kernel == Kernel("Conv", (1, 8, 8, 8), ((16, 8, 3, 3),), (("pads", (1, 1, 1, 1)),))
    assert costs["first"].crossing == 16 * 64
    assert costs["second"].crossing == 0
    assert costs["product"].kernel == Kernel("MatMul", (1, 256), ((256, 32),))
    assert costs["lstm"].kernel == Kernel("LSTM", (3, 1, 5), ((2, 16, 5), (2, 16, 4)))
    kernels = [cost.kernel for cost in costs.values() if cost.kernel is not None]
    timed = integer_seconds(kernels, PEAKS, Beside(lambda: None, 1e-4))
    assert set(timed) == set(kernels)  # the runtime has all of them, as they are built here
    assert min(timed.values()) > 0


def test_what_recording_costs_is_taken_out_of_every_call_and_the_rest_of_all_alike() -> None:
    rows = (OperatorTime("If", "CPU", 1, 1e-4, 0.2), OperatorTime("Conv", "CPU", 10, 4e-4, 0.8))
    profile = Profile("cpu", 1, 5, "made-up inputs", 6e-4, rows, 0.0)
    assert unrecorded_of(profile, 9e-4) == (0, 1)
    assert unrecorded_of(profile, 3.8e-4) == pytest.approx((2e-6, 1))
    assert unrecorded_of(profile, 1e-4) == pytest.approx((5e-6, 1e-4 / 3.5e-4))


def test_a_roof_is_the_higher_of_both() -> None:
    assert roof_seconds(100, 1, 10, 10) == 10
    assert roof_seconds(1, 100, 10, 10) == 10


@pytest.mark.slow
def test_peaks_of_this_machine_are_plausible() -> None:
    found = measure_peaks()
    assert 1e8 < found.float32 < 1e13
    assert found.int8 > 1e8
    assert found.cached >= found.bandwidth > 1e8


def test_what_takes_less_than_a_call_is_not_held_against_a_roof() -> None:
    peaks = dataclasses.replace(PEAKS, call=1e-6, run=1e-5)
    short = Placed(Cost("short", "Conv", 100, 100, 100, False), 1.6e-8, "overhead", 1.0)
    under = Roofline(peaks, 0.01, 10**8, "compute", 0.5, (conv(0.008, 0.002), short, dataclasses.replace(short)), ())
    console = Console(file=StringIO(), width=80)
    show_roofline(under, "cpu", console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.startswith("\nthe machine's peak")
    (line,) = [line for line in text.splitlines() if "too short to tell" in line]
    assert line.split() == ["2", "too", "short", "to", "tell", "32.0", "ns", "calls"]


def shown(placed: Placed) -> str:
    console = Console(file=StringIO(), width=80)
    show_roofline(Roofline(PEAKS, 0.01, 10**8, "compute", 0.5, (placed,), ()), "cpu", console)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_estimates_and_what_is_faster_than_a_peak_are_marked() -> None:
    measured = shown(conv(0.008, None))
    assert "c                  8.00 ms  computing        50.0%" in measured
    assert "≈" not in measured
    assert "≥" not in measured
    estimated = shown(dataclasses.replace(conv(0.008, None), estimated=True))
    assert "≈ 8.00 ms" in estimated
    assert "≈ estimated:" in estimated
    faster = shown(dataclasses.replace(conv(0.008, None), reached=1.0))
    assert "≥ 100%" in faster
    assert "≥ faster than" in faster


def test_commands_are_in_one_line_to_be_copied() -> None:
    command = f"optkit quantize {'folder/' * 20}m.onnx --int8 --data DATA"
    found = (Prediction("INT8", 2.0, "tried here", command), Prediction("FP16", 1.0, "no", "optkit quantize m.onnx --fp16"))
    console = Console(file=StringIO(), width=80)
    show_roofline(Roofline(PEAKS, 0.01, 10**8, "compute", 0.5, (), found), "cpu", console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"  {command}\n" in text
    assert "--fp16" not in text


def test_what_computes_in_integers_is_held_against_their_peak(tmp_path: Path) -> None:
    constants = {"s": np.float32(0.1), "z": np.uint8(128), "w": np.ones((8, 8), np.int8), "f": np.ones((8, 8), np.float32)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "quantize"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["a"], "back"),
        helper.make_node("DequantizeLinear", ["w", "s"], ["b"], "weights"),
        helper.make_node("MatMul", ["a", "b"], ["c"], "integers"),
        helper.make_node("MatMul", ["c", "f"], ["y"], "floats"),
    ]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 8]) for name in "xy"]
    graph = helper.make_graph(nodes, "q", ports[:1], ports[1:], stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "q.onnx")
    found = inspect_model(tmp_path / "q.onnx")
    assert {cost.node: cost.integers for cost in costs_by_name(tmp_path / "q.onnx").values() if cost.macs} == {
        "integers": True,
        "floats": False,
    }
    times = (NodeTime("integers", "MatMul", 1e-6), NodeTime("floats", "MatMul", 1e-6))
    profile = Profile("cpu", 1, 5, "made-up inputs", 2e-6, (OperatorTime("MatMul", "CPU", 2, 2e-6, 1.0),), 0.0, times)
    slow = Peaks(float32=256e6, int8=1024e6, float16=None, bandwidth=1e12, cached=1e12)
    under = roofline(dataclasses.replace(found, profile=profile), slow, tried=Tried(drafts=()))
    assert {each.cost.node: each.reached for each in under.placed} == pytest.approx({"integers": 0.25, "floats": 1.0})


def test_where_nothing_multiplies_no_share_is_told() -> None:
    console = Console(file=StringIO(), width=80)
    show_roofline(Roofline(PEAKS, 0.01, 0, "overhead", 0.0, (), ()), "cpu", console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "is reached" not in text
    assert "slowest operators" not in text


def test_what_batches_gave_is_expected_of_them_and_what_is_the_most_stands_last() -> None:
    found = predict("m.onnx", [conv(0.02, 0.005)], 0.04, 0.0, PEAKS, 1e11, "cpu", batched=1.7)
    assert {each.change: each.speedup for each in found}["batch 8"] == 1.7
    assert (found[-1].change, found[-1].at_most) == ("half the channels", True)


def test_half_the_channels_promise_nothing_where_no_layer_would_become_narrower() -> None:
    last = predict("m.onnx", [], 0.04, 0.01, PEAKS, 1e11, "cpu")[-1]
    assert (last.change, last.speedup, last.command) == ("half the channels", 1.0, None)
    assert "a quarter" not in last.why
