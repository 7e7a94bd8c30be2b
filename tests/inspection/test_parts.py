from typing import Any

import numpy as np
import pytest

from optkit.arrays import Array
from optkit.inspection import Part
from optkit.inspection.parts import find_parts

from .tiny_models import floats, one_node, parse, walked

HEAD = '<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]>'
TABLE = np.ones((100, 64), np.float32)


def parts(text: str, weights: dict[str, Array]) -> list[tuple[str, int, int, str, str]]:
    return [short(part) for part in find_parts(walked(parse(HEAD + text, weights)).visits)]


def short(part: Part) -> tuple[str, int, int, str, str]:
    return part.operator, part.nodes, part.weight_bytes, part.now, part.can


def test_floats_can_become_integers() -> None:
    text = "g (float[1, 3, 8, 8] x, float[1, 3] z) => (float[1, 4, 6, 6] y, float[1, 5] v) { y = Conv (x, w)  v = MatMul (z, m) }"
    found = parts(text, {"w": floats(4, 3, 3, 3), "m": floats(3, 5)})
    assert found == [("Conv", 1, 432, "float32", "int8"), ("MatMul", 1, 60, "float32", "int8")]


def test_what_the_runtime_fused_when_it_saved_the_model_can_become_integers_too() -> None:
    text = 'g (float[1, 3, 8, 8] x) => (float[1, 4, 6, 6] y) { y = com.microsoft.FusedConv <activation = "Relu"> (x, w) }'
    assert parts(text, {"w": floats(4, 3, 3, 3)}) == [("FusedConv", 1, 432, "float32", "int8")]


def test_a_product_of_activations_has_no_weights() -> None:
    assert parts("g (float[2, 3] x, float[3, 4] z) => (float[2, 4] y) { y = MatMul (x, z) }", {}) == []


def test_a_weight_that_two_share_counts_once() -> None:
    text = "g (float[1, 4] x) => (float[1, 4] y) { z = MatMul (x, w)  y = MatMul (z, w) }"
    assert parts(text, {"w": floats(4, 4)}) == [("MatMul", 2, 64, "float32", "int8")]


def test_tables_and_recurrent_layers_can_be_stored_in_integers() -> None:
    text = """g (int64[1, 5] ids) => (float[5, 1, 1, 8] y) {
        rows = Gather (table, ids)
        steps = Transpose <perm = [1, 0, 2]> (rows)
        y = GRU <hidden_size = 8> (steps, w, r)
    }"""
    found = parts(text, {"table": TABLE, "w": floats(1, 24, 64), "r": floats(1, 24, 8)})
    assert found == [("GRU", 1, 24 * 72 * 4, "float32", "int8 weights"), ("Gather", 1, 25600, "float32", "int8 weights")]


def test_picking_from_a_shape_is_no_table() -> None:
    text = "g (int64[1] which) => (int64[1] y) { y = Gather (few, which) }"
    assert parts(text, {"few": np.arange(4)}) == []


def test_half_precision_can_become_integers_too() -> None:
    text = "g (float16[1, 4] x) => (float16[1, 4] y) { y = MatMul (x, w) }"
    assert parts(text, {"w": np.ones((4, 4), np.float16)}) == [("MatMul", 1, 32, "float16", "int8")]


def test_quantize_and_dequantize_on_both_sides_is_int8() -> None:
    text = """g (float[1, 4] x) => (float[1, 4] y) {
        q = QuantizeLinear (x, s, uz)
        a = DequantizeLinear (q, s, uz)
        b = DequantizeLinear (w, s, z)
        y = MatMul (a, b)
    }"""
    around: dict[str, Array] = {"s": floats(), "z": np.array(0, np.int8), "uz": np.array(0, np.uint8)}
    assert parts(text, {"w": np.ones((4, 4), np.int8), **around}) == [("MatMul", 1, 21, "int8", "done")]
    only_weights = text.replace("MatMul (a, b)", "MatMul (x, b)")
    assert parts(only_weights, {"w": np.ones((4, 4), np.int8), **around}) == [("MatMul", 1, 21, "int8 weights", "done")]


def test_fake_quantized_float_weights_compute_in_integers() -> None:
    text = """g (float[1, 4] x) => (float[1, 4] y) {
        q = QuantizeLinear (x, s, z)
        a = DequantizeLinear (q, s, z)
        p = QuantizeLinear (w, s, z)
        b = DequantizeLinear (p, s, z)
        y = MatMul (a, b)
    }"""
    ((_, _, _, now, can),) = parts(text, {"w": floats(4, 4), "s": floats(), "z": np.array(0, np.int8)})
    assert (now, can) == ("int8", "done")


def test_integers_behind_cast_and_mul_are_found() -> None:
    text = "g (float[1, 4] x) => (float[1, 4] y) { f = Cast <to = 1> (w)  r = Mul (f, s)  y = MatMul (x, r) }"
    ((_, _, _, now, can),) = parts(text, {"w": np.ones((4, 4), np.int8), "s": floats()})
    assert (now, can) == ("int8 weights", "done")


@pytest.mark.parametrize(
    ("op_type", "weights", "more", "now"),
    [
        (
            "MatMulNBits",
            {"w": np.ones((32, 2, 16), np.uint8), "s": floats(64)},
            {"K": 64, "N": 32, "bits": 4, "block_size": 32},
            "4-bit weights",
        ),
        ("DynamicQuantizeMatMul", {"w": np.ones((64, 5), np.int8), "s": floats(1)}, {}, "int8"),
    ],
)
def test_operators_of_the_runtime(op_type: str, weights: dict[str, Array], more: dict[str, Any], now: str) -> None:
    (part,) = find_parts(walked(one_node(op_type, {"x": (3, 64)}, weights, domain="com.microsoft", **more)).visits)
    assert (part.now, part.can) == (now, "done")


def test_inside_a_branch_convolutions_stay_in_float_and_products_need_no_ranges() -> None:
    text = """g (bool go, float[1, 3, 8, 8] x, float[1, 4] z) => (float[1, 4, 6, 6] y, float[1, 4] v) {
        y, v = If (go) <
            then_branch = a () => (float[1, 4, 6, 6] p, float[1, 4] q) { p = Conv (x, w)  q = MatMul (z, m) },
            else_branch = b () => (float[1, 4, 6, 6] r, float[1, 4] t) { r = Conv (x, w)  t = MatMul (z, m) }
        >
    }"""
    found = parts(text, {"w": floats(4, 3, 3, 3), "m": floats(4, 4)})
    assert found == [("Conv", 2, 432, "float32", "int8"), ("MatMul", 2, 64, "float32", "int8")]


def test_what_constants_alone_compute_is_left_out() -> None:
    text = "g (float[1, 4] x) => (float[1, 4] y) { w = MatMul (a, b)  y = MatMul (x, w) }"
    assert parts(text, {"a": floats(4, 2), "b": floats(2, 4)}) == [("MatMul", 1, 64, "float32", "int8")]


def test_weights_that_are_made_up_on_the_way_are_not_stored() -> None:
    text = """g (float[1, 4] x) => (float[1, 3] y) {
        shape = Constant <value = int64[2] {4, 3}> ()
        turned = Constant <value = int64[2] {3, 4}> ()
        made = ConstantOfShape (turned)
        w = Reshape (made, shape)
        y = MatMul (x, w)
    }"""
    assert parts(text, {}) == []


def test_operators_of_others_that_share_a_name() -> None:
    mine = one_node("Conv", {"x": (1, 3, 8, 8)}, {"w": floats(4, 3, 3, 3)}, domain="mine")
    assert find_parts(walked(mine).visits) == ()
