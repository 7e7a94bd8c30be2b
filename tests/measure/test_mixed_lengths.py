"""A real model whose time depends on its input: what users wait for is the whole of their data, and no typical example."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from optkit.artifact import Artifact
from optkit.compare import compare_all
from optkit.datasets import Examples
from optkit.formats import read_artifact
from optkit.gate import Limits, judge
from optkit.measure import Settings, measure

SHORT, LONG = 1, 60
SIZE = 128


def looping(path: Path, work: int, start: int) -> Artifact:
    """times [1, 1] → y: as many steps as the input says, each with `work` products, after `start` of them."""
    weights = onnx.numpy_helper.from_array((np.random.default_rng(0).normal(size=(SIZE, SIZE)) / SIZE**0.5).astype(np.float32), "w")
    first = onnx.numpy_helper.from_array(np.ones((SIZE, SIZE), np.float32), "first")
    square = [SIZE, SIZE]

    def products(count: int, source: str, name: str) -> list[onnx.NodeProto]:
        names = [source, *(f"{name}{i}" for i in range(count))]
        return [helper.make_node("MatMul", [names[i], "w"], [names[i + 1]]) for i in range(count)]

    steps = products(work, "state", "step")
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), *steps],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, square),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info(f"step{work - 1}", TensorProto.FLOAT, square),
        ],
    )
    zero = onnx.numpy_helper.from_array(np.zeros((), np.float32), "zero")
    nodes = [
        helper.make_node("Cast", ["times"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["times"], ["count"], keepdims=0),
        helper.make_node("ReduceMax", ["float"], ["peak"], keepdims=0),
        helper.make_node("Mul", ["peak", "zero"], ["nothing"]),  # so that what is done at the start is not folded away
        helper.make_node("Add", ["first", "nothing"], ["begun"]),
        *products(start, "begun", "before"),
        helper.make_node("Loop", ["count", "", f"before{start - 1}"], ["end"], body=body),
        helper.make_node("ReduceMean", ["end"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "float"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("times", TensorProto.INT64, [1, 1])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])]
    graph = helper.make_graph(nodes, "looping", inputs, outputs, [weights, first, zero])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return read_artifact(path)


@pytest.mark.slow
def test_a_model_that_is_slower_for_most_examples_and_faster_for_all_together_is_faster(tmp_path: Path) -> None:
    """Two of three examples are short. The second model needs twice as long for these, and half as long for a long one."""
    models = [looping(tmp_path / "before.onnx", 2, 1), looping(tmp_path / "after.onnx", 1, 6)]
    lengths = np.tile([SHORT, LONG, SHORT], 10).astype(np.int64)[:, None]
    examples = Examples("lengths.npz", {"times": lengths}, None)
    found = measure(models, examples, Settings(meters=("latency", "throughput"), seconds=2.0, least_speedup=1.3))
    assert found[0].conditions is not None
    assert found[0].conditions.mixed
    (comparison,) = compare_all(found)
    by_metric = {delta.metric: delta for delta in comparison.deltas}
    assert by_metric["latency_median"].high < 0  # a short one
    assert 0.3 < by_metric["throughput"].gain < 1.1
    verdict = judge([comparison], Limits(min_speedup=1.3))
    assert (verdict.outcome, verdict.checks[0].delta.metric) == ("passed", "throughput")
