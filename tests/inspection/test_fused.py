"""Nodes of the graph that ONNX Runtime runs, and the operators of the file that they compute."""

from collections.abc import Collection
from pathlib import Path

import onnx
import pytest

from optkit.datasets import Examples
from optkit.inspection.fused import Fused, fused_nodes, nodes_within
from optkit.inspection.profile import profile_model
from optkit.runtimes.rewritten import open_rewritten

from .tiny_models import floats, parse


def graph_of(ports: str, nodes: str) -> onnx.GraphProto:
    return parse(f'<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]> g {ports} {{ {nodes} }}').graph


def named(graph: onnx.GraphProto, *names: str) -> onnx.GraphProto:
    for node, name in zip(nodes_within(graph), names, strict=True):
        node.name = name
    return graph


CNN = "(float[1,8,8,8] x) => (float[1,8,8,8] y)", "a = Conv(x, w) b = Relu(a) c = Conv(b, v) d = Add(c, b) y = Relu(d)"
NAMES = ("one", "relu", "two", "sum", "last")


def told(file: onnx.GraphProto, made: onnx.GraphProto, heavy: Collection[str] = ("a", "c")) -> dict[str, tuple[str, ...]]:
    return {each.name: each.computes for each in fused_nodes(file, made, heavy)}


def test_a_fused_node_computes_what_lies_between_what_it_gives_and_what_is_kept() -> None:
    made = named(graph_of(CNN[0], "b = com.microsoft.FusedConv(x, w) y = com.microsoft.FusedConv(b, v, z, b)"), "one", "two")
    assert told(named(graph_of(*CNN), *NAMES), made) == {"one": ("a",), "two": ("c",)}


def test_in_a_layout_of_its_own_it_is_told_by_the_tensor_within_its_name() -> None:
    nodes = "r0 = Conv(x, w_) r1 = Conv(r0, v_, z, r0) y = com.microsoft.nchwc.ReorderOutput(r1)"
    made = named(graph_of(CNN[0], nodes), "b_nchwc", "c_nchwc_token_12", "ReorderOutput_token_3")
    assert told(named(graph_of(*CNN), *NAMES), made) == {"b_nchwc": ("a",), "c_nchwc_token_12": ("c",)}


def test_with_integers_it_is_told_by_the_operators_name_with_a_number() -> None:
    nodes = (
        "t = Transpose(x) one_out = com.microsoft.QLinearConv(t, w) two_out = com.microsoft.QLinearConv(one_out, v) y = Transpose(two_out)"
    )
    made = named(graph_of(CNN[0], nodes), "Transpose", "one_token_1", "two_token_40", "Transpose_token_2")
    assert told(named(graph_of(*CNN), *NAMES), made) == {"one_token_1": ("a",), "two_token_40": ("c",)}


def test_names_that_begin_alike_are_not_taken_for_each_other() -> None:
    file = named(graph_of("(float[8,8] x) => (float[8,8] y)", "h = MatMul(x, w) y = MatMul(h, w)"), "product", "product_1")
    made = named(graph_of("(float[8,8] x) => (float[8,8] y)", "r = MatMul(x, w) y = MatMul(r, w)"), "product_2", "product_1")
    assert told(file, made, ("h", "y")) == {"product_1": ("y",)}


def test_an_attention_computes_several_products_and_stops_at_what_is_kept() -> None:
    ports = "(float[4,8] x) => (float[4,8] y)"
    file = graph_of(ports, "h = MatMul(x, p) q = MatMul(h, a) k = MatMul(h, b) s = MatMul(q, k) t = Softmax(s) y = MatMul(t, h)")
    made = named(graph_of(ports, "h = MatMul(x, p) y = com.microsoft.Attention(h, ab)"), "product", "Attention")
    found = {name: set(computes) for name, computes in told(file, made, ("h", "q", "k", "s", "y")).items()}
    assert found == {"product": {"h"}, "Attention": {"q", "k", "s", "y"}}


def test_what_only_moves_values_computes_no_product() -> None:
    ports = "(float[4,8] x) => (float[4,8] y)"
    file = named(graph_of(ports, "h = MatMul(x, w) y = Softmax(h)"), "product", "soft")
    made = named(graph_of(ports, "renamed = MatMul(x, w) y = Softmax(renamed)"), "anew", "soft")
    assert told(file, made, ("h",)) == {}


def test_what_two_branches_call_the_same_is_left_out() -> None:
    text = """y = If (flag) <then_branch = t () => (float[4,4] p) { a = MatMul (x, w)  p = Neg (a) },
                             else_branch = e () => (float[4,4] q) { a = MatMul (x, w)  q = Abs (a) }>"""
    graph = graph_of("(bool[1] flag, float[4,4] x) => (float[4,4] y)", text)
    assert told(graph, graph, ("a", "a")) == {}


@pytest.mark.parametrize("name", ["one", ""])
def test_the_runtime_names_its_nodes_so(name: str, tmp_path: Path) -> None:
    nodes = "k = Constant<value_float=2.0>() m = Max(x, k) h = MatMul(m, w) t = Tanh(h) y = MatMul(t, v)"
    text = f'<ir_version: 8, opset_import: ["": 17]> g (float[2,8] x) => (float[2,4] y) {{ {nodes} }}'
    model = parse(text, {"w": floats(8, 8), "v": floats(8, 4)})
    model.graph.node[2].name = name
    onnx.save(model, tmp_path / "m.onnx")
    _, rewritten = open_rewritten(tmp_path / "m.onnx")
    last = Fused("MatMul_3", "MatMul", ("y",))
    assert fused_nodes(model.graph, rewritten, ("h", "y")) == [Fused(name or "MatMul_1", "MatMul", ("h",)), last]
    ran = profile_model(tmp_path / "m.onnx", Examples("d", {"x": floats(3, 2, 8)}, whole=True), most=0.1)
    assert {(name or "MatMul_1", "MatMul"), ("MatMul_3", "MatMul")} < {(each.node, each.operator) for each in ran.slowest}
