import numpy as np
import onnx_ir as ir
from exhaustive.starts import starts
from onnx import TensorProto, helper, numpy_helper, shape_inference

from optkit.quantization.variants.candidates import candidates
from optkit.quantization.variants.treatment import Way


def small_model() -> ir.Model:
    """A convolution, a product behind it, and another reader of the convolution that is an answer."""
    weights = [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in {"w0": (4, 3, 3, 3), "w1": (4, 2)}.items()]
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], "conv"),
        helper.make_node("LeakyRelu", ["a"], ["beside"], "leaky"),
        helper.make_node("GlobalAveragePool", ["a"], ["b"], "pool"),
        helper.make_node("Flatten", ["b"], ["c"], "flat"),
        helper.make_node("MatMul", ["c", "w1"], ["y"], "product"),
    ]
    read = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])
    gives = [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2]),
        helper.make_tensor_value_info("beside", TensorProto.FLOAT, ["N", 4, 6, 6]),
    ]
    graph = helper.make_graph(nodes, "g", [read], gives, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return ir.from_proto(shape_inference.infer_shapes(made))


def test_all_that_optkit_tries_comes_first_and_nothing_twice() -> None:
    model = small_model()
    found = starts(model)
    own = candidates(model, "auto", True)
    assert found[: len(own)] == own
    assert len({t.name for t in found}) == len(found)
    assert len({(frozenset(t.ways.items()), t.smooth, t.ends, t.group_size) for t in found}) == len(found)


def test_products_compute_in_every_way_within_regions_and_regions_reach_the_ends() -> None:
    found = starts(small_model())
    ways = {t.ways["product"] for t in found if t.ways.get("pool") is Way.STATIC and "product" in t.ways}
    assert ways == {Way.STATIC, Way.STATIC_FLOAT_OUT, Way.DYNAMIC}
    assert any("leaky" in t.ways and t.ends for t in found)
    assert not any("leaky" in t.ways for t in found if not t.ends)
