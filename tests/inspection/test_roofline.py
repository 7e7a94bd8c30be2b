"""What the machine can do, what operators have to do, and what can be expected of that."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.inspection import Profile
from optkit.inspection.inspect_model import inspect_model
from optkit.inspection.peaks import measure_peaks
from optkit.inspection.predict import predict, roof_seconds
from optkit.inspection.profile import made_up_examples, profile_model
from optkit.inspection.roofline import costs_of, roofline, shared_out
from optkit.inspection.under_roof import Cost, Peaks, Placed

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


def test_what_operators_have_to_do_is_counted(network: Path) -> None:
    costs = {cost.node: cost for cost in costs_of(network, inspect_model(network).work)}
    assert costs["conv"] == Cost("conv", "Conv", 16 * 8 * 9 * 64, 4 * (8 * 64 + 16 * 64), 4 * 16 * 8 * 9, depthwise=False)
    assert costs["depthwise"].depthwise
    assert costs["depthwise"].macs == 16 * 9 * 64
    assert costs["product"] == Cost("product", "MatMul", 16 * 64 * 32, 4 * (16 * 64 + 32), 4 * 16 * 64 * 32, depthwise=False)


def test_a_model_is_placed_under_its_roof(network: Path) -> None:
    found = inspect_model(network)
    profile = profile_model(network, made_up_examples(found.inputs, found.work.sizes), most=0.1)
    import dataclasses

    under = roofline(dataclasses.replace(found, profile=profile), PEAKS)
    assert {each.cost.node for each in under.placed} == {"conv", "depthwise", "product"}
    assert all(0 <= each.reached <= 1 for each in under.placed)
    assert 0 <= under.reached <= 1
    assert under.macs == found.work.macs
    assert {each.change for each in under.predictions} == {"INT8", "INT4 weights", "FP16", "half the channels", "batch 8"}
    with pytest.raises(ValueError, match="not profiled"):
        roofline(found, PEAKS)


def test_time_that_no_name_claims_is_shared_out_and_none_is_lost(network: Path) -> None:
    from optkit.inspection import NodeTime, OperatorTime

    costs = list(costs_of(network, inspect_model(network).work))
    operators = (OperatorTime("FusedConv", "CPU", 2, 3e-4, 0.75), OperatorTime("FusedGemm", "CPU", 1, 1e-4, 0.25))
    profile = Profile("cpu", 1, 5, "made-up inputs", 5e-4, operators, 1e-4, (NodeTime("conv", "Conv", 2e-4),))
    times = dict(zip((cost.node for cost in costs), shared_out(costs, profile, 1e10, 1e10), strict=True))
    assert times["conv"] == 2e-4
    assert times["depthwise"] == pytest.approx(1e-4)
    assert times["product"] == pytest.approx(1e-4)


def test_integers_speed_up_what_computes_and_nothing_else() -> None:
    conv, depthwise = (Cost(name, "Conv", 10**8, 10**4, 10**4, name == "depthwise") for name in ("conv", "depthwise"))
    alone = {p.change: p for p in predict("m.onnx", [Placed(conv, 0.02, "compute", 0.5)], 0.02, PEAKS, 1e11, "cpu")}
    assert alone["INT8"].speedup == pytest.approx(4)
    assert alone["half the channels"].speedup == pytest.approx(4)
    assert alone["FP16"].speedup == pytest.approx(1)
    assert alone["INT8"].command == "optkit quantize m.onnx --int8 --data DATA"
    half = {p.change: p for p in predict("m.onnx", [Placed(conv, 0.02, "compute", 0.5)], 0.04, PEAKS, 1e11, "cpu")}
    assert half["INT8"].speedup == pytest.approx(0.04 / (0.02 + 0.005))
    none = predict("m.onnx", [Placed(depthwise, 0.02, "compute", 0.5)], 0.02, PEAKS, 1e11, "cuda")
    assert all(p.speedup == pytest.approx(1) for p in none)
    assert all(p.command is None or p.command.endswith("--device cuda") for p in none)


def test_fewer_bits_help_what_waits_for_memory() -> None:
    product = Cost("p", "MatMul", 10**6, 10**3, 10**8, depthwise=False)
    found = {p.change: p.speedup for p in predict("m.onnx", [Placed(product, 0.1, "memory", 1.0)], 0.1, PEAKS, PEAKS.bandwidth, "cpu")}
    assert found["INT4 weights"] == pytest.approx(1 / 0.14, rel=0.01)
    assert found["INT8"] == pytest.approx(4, rel=0.01)
    assert found["batch 8"] == pytest.approx(8, rel=0.01)


def test_a_roof_is_the_higher_of_both() -> None:
    assert roof_seconds(100, 1, 10, 10) == 10
    assert roof_seconds(1, 100, 10, 10) == 10


@pytest.mark.slow
def test_peaks_of_this_machine_are_plausible() -> None:
    found = measure_peaks()
    assert 1e8 < found.float32 < 1e13
    assert found.int8 > 1e8
    assert found.cached >= found.bandwidth > 1e8
