"""Models that optkit itself rewrote: tensors are found again behind Q/DQ pairs, casts and gentler masks."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from optkit.arrays import Array
from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.formats.onnx import load_model, save_model
from optkit.layers import LayerComparison, compare_layers
from optkit.layers.sums import Noise
from optkit.quantization.affine import grid_for
from optkit.quantization.integer_graph.insert_dynamic import insert_dynamic
from optkit.quantization.integer_graph.insert_static import insert_static, tensors_to_observe
from optkit.quantization.operators import weight_of

DATA = Examples("data.npz", {"x": np.random.default_rng(5).normal(size=(8, 3, 12, 12)).astype(np.float32)})


@pytest.fixture
def network(tmp_path: Path) -> Artifact:
    """Three convolutions with activations, a pool and a product."""
    dice = np.random.default_rng(1)
    sizes = {"c1": (8, 3, 3, 3), "c2": (8, 8, 3, 3), "c3": (4, 8, 1, 1), "fc": (4, 5)}
    weights = {name: (dice.normal(size=size) / np.sqrt(np.prod(size[1:]))).astype(np.float32) for name, size in sizes.items()}
    nodes = [
        helper.make_node("Conv", ["x", "c1"], ["a"], name="one"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Conv", ["b", "c2"], ["c"], name="two"),
        helper.make_node("HardSwish", ["c"], ["d"], name="swish"),
        helper.make_node("Conv", ["d", "c3"], ["e"], name="three"),
        helper.make_node("ReduceMean", ["e"], ["f"], name="pool", axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["f", "fc"], ["y"], name="last"),
    ]
    shapes: list[tuple[str, list[str | int | None]]] = [("x", ["n", 3, 12, 12]), ("y", ["n", 5])]
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes]
    stored = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "tiny", ports[:1], ports[1:], stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "model.onnx")
    return Artifact(tmp_path / "model.onnx", "onnx", "a digest")


def inner(network: Artifact, name: str) -> Array:
    """A tensor by ONNX's reference evaluator."""
    model = onnx.load(network.path)
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    answers: Any = ReferenceEvaluator(model).run([name], dict(DATA.arrays))
    return np.asarray(answers[0])


def quantized(network: Artifact, names: set[str], narrow: str = "") -> Artifact:
    """Q/DQ pairs around the named nodes; the tensor `narrow` gets a range that is far too small."""
    model = load_model(network.path)
    nodes = [node for node in model.graph if node.name in names]
    values = {name: inner(network, name) for name in tensors_to_observe(nodes)}
    grids = {name: grid_for(float(value.min()), float(value.max())) for name, value in values.items()}
    if narrow:
        grids[narrow] = grid_for(-0.3, float(values[narrow].max()) / 4)
    insert_static(model, names, grids)
    path = network.path.with_name("static.onnx")
    save_model(model, path)
    return Artifact(path, "onnx", "another digest")


def compared(before: Artifact, after: Artifact) -> LayerComparison:
    (found,) = compare_layers(before, [after], DATA, names=["before", "after"])
    return found


def test_quantized_tensors_are_compared_as_their_readers_see_them(network: Artifact) -> None:
    found = compared(network, quantized(network, {"one", "two", "three", "last"}))
    assert found.precision == "int8"
    after = {layer.tensor: layer.after for layer in found.layers}
    assert after == {"a": "a", "b": "b_dequantized", "c": "c_dequantized", "d": "d_dequantized", "e": "e_dequantized"} | {
        "f": "f_dequantized",
        "y": "y",
    }
    assert {layer.matched for layer in found.layers} == {"name"}
    assert all(15 < layer.own < 60 for layer in found.layers)


@pytest.mark.parametrize(("narrow", "tensor", "excluded"), [("b", "b", {"one", "two"}), ("d", "d", {"three"}), ("c", "c", {"two"})])
def test_a_range_that_is_too_small_is_found_with_what_to_leave_out(network: Artifact, narrow: str, tensor: str, excluded: set[str]) -> None:
    found = compared(network, quantized(network, {"one", "two", "three", "last"}, narrow))
    worst, share = found.worst[0]
    assert (worst.tensor, share > 0.5) == (tensor, True)
    nodes = {str(node.name) for node in load_model(network.path).graph if weight_of(node) is not None}
    assert {name for name in nodes if any(fnmatchcase(name, pattern) for pattern in worst.exclude)} == excluded
    assert found.first_bad is not None
    assert found.first_bad.tensor == tensor


def test_leaving_out_what_is_advised_takes_the_noise_away(network: Artifact) -> None:
    everything = {"one", "two", "three", "last"}
    found = compared(network, quantized(network, everything, "d"))
    kept = everything - set(found.worst[0][0].exclude)
    assert compared(network, quantized(network, kept)).layers[-1].sqnr > found.layers[-1].sqnr + 10


def test_dynamic_products_keep_their_names(network: Artifact) -> None:
    model = load_model(network.path)
    insert_dynamic(model.graph, {"last"})
    save_model(model, network.path.with_name("dynamic.onnx"))
    found = compared(network, Artifact(network.path.with_name("dynamic.onnx"), "onnx", "another digest"))
    assert [layer.tensor for layer in found.layers if layer.own < 120] == ["y"]
    assert found.worst[0][0].exclude == ("last",)


def test_float16_is_seen_as_such(network: Artifact) -> None:
    model = load_model(network.path)
    half = ir.DataType.FLOAT16
    for value in model.graph.initializers.values():
        assert value.const_value is not None
        value.const_value = ir.tensor(value.const_value.numpy().astype(np.float16), name=value.name)
        value.dtype = half
    for port in (*model.graph.inputs, *model.graph.outputs):
        port.dtype = half
    save_model(model, network.path.with_name("half.onnx"))
    found = compared(network, Artifact(network.path.with_name("half.onnx"), "onnx", "another digest"))
    assert found.precision == "fp16"
    assert len(found.layers) == 7
    assert all(50 < layer.own < 90 for layer in found.layers)
    assert found.first_bad is None


def test_masks_may_become_gentler() -> None:
    truth = np.array([1.0, -3.4e38, -1e9, -1e4, 2.0], np.float32)
    noise = Noise()
    noise.add(truth, np.array([1.0, -60.0, -60.0, -58.0, 2.0], np.float32))
    noise.add(truth, np.array([1.0, -65504.0, -65504.0, -58.0, 2.0], np.float16))
    assert noise.sqnr == 120.0
    noise.add(truth, np.array([1.1, -60.0, -60.0, -58.0, 2.0], np.float32))
    assert noise.sqnr == pytest.approx(10 * np.log10(3 * 5 / 0.01), abs=0.1)


@pytest.mark.parametrize(("truth", "got"), [(1.0, np.nan), (1.0, np.inf), (np.nan, 1.0)])
def test_only_the_second_model_is_blamed_for_what_is_not_finite(truth: float, got: float) -> None:
    noise = Noise()
    noise.add(np.array([truth, 1.0], np.float32), np.array([got, 1.0], np.float32))
    assert np.isfinite(noise.sqnr) == np.isfinite(got)
