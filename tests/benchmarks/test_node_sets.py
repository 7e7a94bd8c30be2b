import numpy as np
import onnx_ir as ir
from exhaustive.node_sets import by_block, by_kind, by_rank, kinds_of, slowest_first
from onnx import TensorProto, helper, numpy_helper

from optkit.quantization.variants.treatment import Treatment, Way


def small_model() -> ir.Model:
    """Two convolutions of different kinds with a Sigmoid between them, then a product."""
    shapes = {"w0": (4, 3, 3, 3), "w1": (4, 4, 1, 1), "w2": (4, 2)}
    weights = [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in shapes.items()]
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], "conv3"),
        helper.make_node("Sigmoid", ["a"], ["b"], "sigmoid"),
        helper.make_node("Conv", ["b", "w1"], ["c"], "conv1"),
        helper.make_node("GlobalAveragePool", ["c"], ["d"], "pool"),
        helper.make_node("Flatten", ["d"], ["e"], "flat"),
        helper.make_node("MatMul", ["e", "w2"], ["y"], "product"),
    ]
    read = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])
    gives = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])
    graph = helper.make_graph(nodes, "g", [read], [gives], weights)
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


WHOLE = Treatment("static", dict.fromkeys(("conv3", "sigmoid", "conv1", "pool", "product"), Way.STATIC))


def left_out(treatments: list[Treatment]) -> list[set[str]]:
    return [set(WHOLE.ways) - set(t.ways) for t in treatments]


def test_layers_are_of_a_kind() -> None:
    kinds = kinds_of(small_model(), WHOLE)
    assert kinds == {"Conv": ["conv3"], "Sigmoid": ["sigmoid"], "Conv 1×1": ["conv1"], "GlobalAveragePool": ["pool"], "MatMul": ["product"]}


def test_every_subset_of_the_weighted_kinds_is_tried_and_each_other_kind_alone() -> None:
    tried = list(by_kind(small_model(), WHOLE))
    weighted = [{"conv3"}, {"conv1"}, {"product"}, {"conv3", "conv1"}, {"conv3", "product"}, {"conv1", "product"}]
    gone = left_out(tried)
    assert all(each in gone for each in [*weighted, {"sigmoid"}, {"pool"}])
    assert len(gone) == 8
    assert len({t.name for t in tried}) == 8


def test_every_run_of_neighbouring_layers_is_tried() -> None:
    names = ["conv3", "conv1", "product"]
    gone = left_out(list(by_block(names, WHOLE)))
    assert len(gone) == 5
    assert {"conv1", "product"} in gone
    assert {"conv3", "product"} in gone
    assert {"product"} in gone
    assert {"conv1"} not in gone  # what is left would not be one run


def test_a_ranking_is_cut_ever_more_coarsely() -> None:
    order = [f"n{i}" for i in range(40)]
    whole = Treatment("static", dict.fromkeys(order, Way.STATIC))
    counts = [40 - len(t.ways) for t in by_rank(order, whole, "noisiest")]
    assert counts[:4] == [1, 2, 3, 4]
    assert counts == sorted(set(counts))
    assert counts[-1] < 40
    assert len(counts) < 15


def test_layers_that_save_least_come_first() -> None:
    assert slowest_first(["a", "b", "c"], {"a": 0.1, "c": -0.2}) == ["c", "a"]
