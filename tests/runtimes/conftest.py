"""Models small enough to be made in a test."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

Builder = Callable[..., bytes]


@pytest.fixture(scope="session")
def build() -> Builder:
    """`build(nodes, inputs, outputs, weights, **domains)`: the bytes of a model; inputs and outputs are (name, type, shape)."""

    def make(
        nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], weights: dict[str, Any] | None = None, **domains: int
    ) -> bytes:
        value = [[helper.make_tensor_value_info(*each) for each in side] for side in (inputs, outputs)]
        stored = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()]
        graph = helper.make_graph(list(nodes), "tiny", value[0], value[1], stored)
        opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(name.replace("_", "."), number) for name, number in domains.items())]
        return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())

    return make


@pytest.fixture(scope="session")
def classifier(build: Builder) -> bytes:
    """float32 x [n, 4] → logits [n, 3] and their softmax."""
    dice = np.random.default_rng(3)
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["kept"]),
        helper.make_node("MatMul", ["kept", "v"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["shares"], axis=1),
    ]
    weights = {name: dice.normal(size=shape).astype(np.float32) for name, shape in {"w": (4, 8), "b": (8,), "v": (8, 3)}.items()}
    outputs = [("logits", TensorProto.FLOAT, ["n", 3]), ("shares", TensorProto.FLOAT, ["n", 3])]
    return build(nodes, [("x", TensorProto.FLOAT, ["n", 4])], outputs, weights)


@pytest.fixture
def classifier_file(classifier: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "classifier.onnx"
    path.write_bytes(classifier)
    return path
