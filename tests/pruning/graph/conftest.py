"""Graphs built node by node, with whole numbers as weights: sums of those are exact in any order."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_ir.passes.common import ShapeInferencePass

from optkit.arrays import Array
from optkit.pruning.graph.cut_out import put
from optkit.pruning.graph.groups import Groups, weight_axes
from optkit.quantization.calibration.watched import open_watched


class Net:
    """A graph in the making; every call adds a node and returns its first output's name."""

    def __init__(self, shape: tuple[int | str, ...] = ("N", 3, 6, 6), seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.input = helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))

    def constant(self, array: Array | np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weight(self, *shape: int) -> str:
        return self.constant(self.random.integers(-1, 2, shape).astype(np.float32))

    def add(self, op_type: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        place = len(self.nodes)
        names = [f"{op_type}_{place}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op_type, list(inputs), names, name=f"{op_type}_{place}", domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, source: str, before: int, after: int, kernel: int = 1, groups: int = 1) -> str:
        weight, bias = self.weight(after, before // groups, kernel, kernel), self.weight(after)
        made = self.add("Conv", source, weight, bias, group=groups, pads=[kernel // 2] * 4)
        return self.clip(made)

    def clip(self, source: str) -> str:
        low, high = self.constant(np.float32(-3)), self.constant(np.float32(3))
        return str(self.add("Clip", source, low, high))

    def model(self, *outputs: str, opset: int = 17) -> ir.Model:
        given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "net", [self.input], given, self.constants)
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
        made = ir.from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=9))
        ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(made)
        return made


def without_contribution(model: ir.Model, groups: Groups, removed: Array) -> ir.Model:
    """A copy in which the weights that read these units are zero."""
    made = model.clone()
    for node in made.graph:
        value = node.inputs[1] if node.name in groups.read else None
        if value is not None and value.const_value is not None:
            into = weight_axes(node)[0]
            assert into is not None
            array = np.moveaxis(value.const_value.numpy().copy(), into, 0)
            array[np.isin(groups.read[str(node.name)], removed)] = 0
            put(value, np.moveaxis(array, 0, into))
    return made


def answers(model: ir.Model, feed: Mapping[str, Array]) -> list[Array]:
    session = open_watched(model, 1)
    return [np.asarray(v) for v in session.run(feed).values()]


@pytest.fixture
def net() -> type[Net]:
    return Net


@pytest.fixture
def zeroed() -> Callable[[ir.Model, Groups, Array], ir.Model]:
    return without_contribution


@pytest.fixture
def ask() -> Callable[[ir.Model, Mapping[str, Array]], list[Array]]:
    return answers
