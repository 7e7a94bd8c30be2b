"""optkit's account of what saturates, held against ONNX Runtime's kernels on an emulated CPU without VNNI, to the last bit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from optkit.arrays import Array
from optkit.quantization.integer_graph.saturation import fit_pairs, has_pairs

from .emulated import needs_emulator, on_haswell

pytestmark = needs_emulator


@dataclass(frozen=True)
class Layer:
    """One integer layer. A convolution's input is as large as its kernel, so that there is one position to compute."""

    name: str
    operator: str
    shape: tuple[int, ...]
    rows: int = 1
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def node(self) -> ir.Node:
        """The float layer that it was."""
        return ir.node({"QLinearConv": "Conv", "QGemm": "Gemm"}.get(self.operator, "MatMul"), [None, None], self.attributes or None)

    def integers(self) -> Array:
        return np.random.default_rng(len(self.name)).choice(np.array([-127, -120, -60, 0, 3, 70, 110, 127], np.int8), self.shape)

    def activations(self) -> Array:
        random = np.random.default_rng(1)
        if self.operator == "QLinearConv":
            size = (1, self.shape[1] * self.attributes.get("group", 1), *self.shape[2:])
        else:
            size = (self.rows, self.shape[1 if self.attributes.get("transB") else 0])
        values = np.where(random.random(size) < 0.5, 255, random.integers(0, 256, size)).astype(np.uint8)
        values.reshape(-1)[:2] = 0, 255
        return values

    def products(self, integers: Array) -> Array:
        """[rows, channels, length of the sum]: every product of weight and activation, in the order that is claimed."""
        given = self.activations().astype(np.int64)
        if self.operator == "QLinearConv":
            groups = self.attributes.get("group", 1)
            weights = np.moveaxis(integers, 1, -1).reshape(len(integers), -1).astype(np.int64)
            inputs = np.moveaxis(given.reshape(groups, integers.shape[1], *integers.shape[2:]), 1, -1).reshape(groups, -1)
            return (weights * np.repeat(inputs, len(integers) // groups, axis=0))[None]
        columns = integers if self.attributes.get("transB") else integers.T
        return np.asarray(given[:, None, :] * columns[None].astype(np.int64))

    def answer(self, integers: Array, *, saturating: bool) -> Array:
        products = self.products(integers)
        products = np.pad(products, ((0, 0), (0, 0), (0, products.shape[2] % 2)))
        pairs = products[..., 0::2] + products[..., 1::2]
        sums = (np.clip(pairs, -(2**15), 2**15 - 1) if saturating else pairs).sum(axis=-1)
        return np.asarray(np.clip(np.rint(sums / self.step) + 128, 0, 255) if self.operator == "QLinearConv" else sums)

    @property
    def step(self) -> float:
        """Of a convolution's uint8 output, so fine that one saturated pair shows."""
        return float(np.float32(np.abs(self.products(self.integers()).sum(axis=-1)).max() / 127))

    def model(self, integers: Array) -> onnx.ModelProto:
        channels = integers.shape[0] if self.operator == "QLinearConv" or self.attributes.get("transB") else integers.shape[1]
        one, none = np.float32(1), np.uint8(0)
        scales, zeros = np.ones(channels, np.float32), np.zeros(channels, np.int8)
        given: dict[str, dict[str, Any]] = {
            "MatMulInteger": {"w": integers, "xz": none, "wz": zeros},
            "DynamicQuantizeMatMul": {"w": integers, "ws": scales, "wz": zeros},
            "QGemm": {"xs": one, "xz": none, "w": integers, "ws": scales, "wz": zeros},
        }
        given["QLinearConv"] = {**given["QGemm"], "ys": np.float32(self.step), "yz": np.uint8(128)}
        constants = given[self.operator]
        domain = "com.microsoft" if self.operator in ("DynamicQuantizeMatMul", "QGemm") else ""
        kinds = {"MatMulInteger": onnx.TensorProto.INT32, "QLinearConv": onnx.TensorProto.UINT8}
        source = onnx.TensorProto.FLOAT if self.operator == "DynamicQuantizeMatMul" else onnx.TensorProto.UINT8
        node = helper.make_node(self.operator, ["x", *constants], ["y"], domain=domain, **self.attributes)
        graph = helper.make_graph(
            [node],
            "g",
            [helper.make_tensor_value_info("x", source, self.activations().shape)],
            [helper.make_tensor_value_info("y", kinds.get(self.operator, onnx.TensorProto.FLOAT), None)],
            [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def write(self, folder: Path, name: str, integers: Array) -> None:
        onnx.save(self.model(integers), folder / f"{name}.onnx")
        kind = np.float32 if self.operator == "DynamicQuantizeMatMul" else np.uint8
        np.savez(folder / f"{name}.npz", x=self.activations().astype(kind))

    def read(self, answers: Callable[[str], Array], name: str) -> Array:
        return np.rint(answers(name)).astype(np.int64).reshape(self.answer(self.integers(), saturating=False).shape)


LAYERS = [
    Layer("matrix product, one row", "MatMulInteger", (401, 33)),
    Layer("matrix product, five rows", "MatMulInteger", (66, 48), rows=5),
    Layer("dynamic", "DynamicQuantizeMatMul", (200, 64), rows=7),
    Layer("dense", "QGemm", (129, 40), rows=3),
    Layer("dense, transposed", "QGemm", (40, 129), rows=3, attributes={"transB": 1}),
    Layer("three channels", "QLinearConv", (16, 3, 3, 3)),
    Layer("sixteen channels", "QLinearConv", (32, 16, 3, 3)),
    Layer("pointwise, odd", "QLinearConv", (16, 5, 1, 1)),
    Layer("two groups", "QLinearConv", (16, 6, 3, 3), attributes={"group": 2}),
    Layer("one channel a group", "QLinearConv", (16, 1, 3, 3), attributes={"group": 8}),
    Layer("depthwise, aligned", "QLinearConv", (16, 1, 3, 3), attributes={"group": 16}),
    Layer("depthwise", "QLinearConv", (5, 1, 3, 3), attributes={"group": 5}),
    Layer("along a line", "QLinearConv", (16, 5, 4)),
    Layer("in a volume", "QLinearConv", (16, 3, 2, 3, 2)),
]


def fitted(layer: Layer) -> Array:
    integers = layer.integers()
    return fit_pairs(layer.node, integers.astype(np.float32), integers, np.ones(1, np.float32))[0]


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Array]:
    """Haswell's answers of LAYERS, as they are and (`NAME, fitted`) after the cure."""
    folder = tmp_path_factory.mktemp("layers")
    for layer in LAYERS:
        layer.write(folder, layer.name, layer.integers())
        layer.write(folder, f"{layer.name}, fitted", fitted(layer))
    return on_haswell(folder)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_haswell_saturates_the_pairs_that_are_bounded_and_no_others(layer: Layer, layers: Callable[[str], Array]) -> None:
    integers = layer.integers()
    paired = has_pairs(layer.node, integers.shape)
    exact, predicted = layer.answer(integers, saturating=False), layer.answer(integers, saturating=paired)
    assert np.array_equal(layer.read(layers, layer.name), predicted)
    assert np.array_equal(exact, predicted) != paired


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_haswell_computes_fitted_weights_exactly(layer: Layer, layers: Callable[[str], Array]) -> None:
    assert np.array_equal(layer.read(layers, f"{layer.name}, fitted"), layer.answer(fitted(layer), saturating=False))
