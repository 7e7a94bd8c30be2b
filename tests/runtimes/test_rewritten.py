"""The graph as ONNX Runtime runs it."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from optkit.runtimes.onnxruntime import open_onnx
from optkit.runtimes.rewritten import open_rewritten

X = {"x": np.ones((1, 16, 8, 8), np.float32)}


def convolutions(path: Path) -> Path:
    weight = np.random.default_rng(0).standard_normal((16, 16, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "first", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "w"], ["y"], "second", pads=[1] * 4),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 16, 8, 8]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_it_has_the_nodes_of_a_profile_and_no_large_weights(tmp_path: Path) -> None:
    path = convolutions(tmp_path / "m.onnx")
    session, graph = open_rewritten(path)
    recorded = open_onnx(path, profile=tmp_path / "profile")
    np.testing.assert_array_equal(session.run(X)["y"], recorded.run(X)["y"])
    events = json.loads(recorded.end_profile().read_text(encoding="utf-8"))
    run = {e["name"].removesuffix("_kernel_time") for e in events if e["cat"] == "Node" and e["name"].endswith("_kernel_time")}
    assert {node.name for node in graph.node} == run
    assert "Relu" not in {node.op_type for node in graph.node}
    assert graph.ByteSize() < 16 * 16 * 9 * 4
