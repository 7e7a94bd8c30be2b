"""Tiny models on disk, examples for them, and sessions that are none."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.formats import read_artifact
from optkit.runtimes import Port

ModelMaker = Callable[..., Artifact]


@pytest.fixture
def classifier(tmp_path: Path) -> ModelMaker:
    """`classifier(name, batch, scale, dtype)`: x [batch, 4] → logits [batch, 3], the same weights times `scale`."""

    def make(name: str = "model.onnx", batch: int | str = "n", scale: float = 1.0, dtype: int = TensorProto.FLOAT) -> Artifact:
        weights = np.random.default_rng(1).normal(size=(4, 3)) * scale
        stored = onnx.numpy_helper.from_array(weights.astype(helper.tensor_dtype_to_np_dtype(dtype)), "w")
        ports = [helper.make_tensor_value_info("x", dtype, [batch, 4])], [helper.make_tensor_value_info("logits", dtype, [batch, 3])]
        graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["logits"])], "tiny", *ports, [stored])
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        return read_artifact(path)

    return make


@pytest.fixture
def examples() -> Examples:
    """Ten examples with labels, in groups of two."""
    dice = np.random.default_rng(2)
    return Examples("ten.npz", {"x": dice.normal(size=(10, 4)).astype(np.float32)}, dice.integers(0, 3, 10), np.arange(10) // 2 + 40)


class FakeSession:
    """Answers with what a function makes of the feed."""

    def __init__(self, answer: Callable[[Mapping[str, Any]], dict[str, Any]], batch: int | str = "n") -> None:
        self.answer = answer
        self.inputs = (Port("x", "float32", (batch, 4)),)
        self.outputs = (Port("logits", "float32", (batch, 3)),)
        self.sizes: list[int] = []

    def run(self, feed: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        self.sizes.append(len(feed["x"]))
        return self.answer(feed)

    def bind(self, feed: Mapping[str, Any]) -> Callable[[], None]:
        return lambda: None

    def placement(self) -> dict[str, int]:
        return {"FakeExecutionProvider": 1}


@pytest.fixture
def fake_session() -> type[FakeSession]:
    return FakeSession
