import numpy as np
import pytest
from onnx import helper

from optkit.arrays import Array

from .tiny_models import floats, parse, total, visit_of, walked

BRANCHES = """
<ir_version: 8, opset_import: ["": 17]>
g (float[1, 8] x, int64[] rate) => (float[1, n] y) {
    high = Constant <value = int64 {16}> ()
    is_high = Equal (rate, high)
    y = If (is_high) <
        then_branch = wide () => (float[1, n] a) { a = MatMul (x, outer) },
        else_branch = narrow () => (float[1, n] b) {
            w = Constant <value = float[8, 2] {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}> ()
            b = MatMul (x, w)
        }
    >
}"""


def branches(rate: Array | None = None) -> tuple[int, tuple[int | None, ...] | None, int]:
    walk = walked(parse(BRANCHES, {"outer": floats(8, 4)}), known={} if rate is None else {"rate": rate})
    return total(walk), visit_of(walk, "If").outputs[0].dims, len(walk.notes)


def test_a_branch_that_is_known_to_run_is_the_one_counted() -> None:
    assert branches(np.array(16)) == (32, (1, 4), 0)
    assert branches(np.array(8)) == (16, (1, 2), 0)


def test_of_two_possible_branches_the_dearer_is_counted_and_that_is_said() -> None:
    assert branches() == (32, (1, None), 1)


def test_weights_in_branches_that_do_not_run_are_seen() -> None:
    walk = walked(parse(BRANCHES, {"outer": floats(8, 4)}), known={"rate": np.array(16)})
    assert sorted(each.elements for each in walk.stored.values() if each.dtype == "float32") == [16, 32]
    assert [v.times for v in walk.visits if v.node.op_type == "MatMul"] in ([1, 0], [0, 1])


def loop(most: str) -> str:
    return f"""
    <ir_version: 8, opset_import: ["": 17]>
    g (float[1, 8] x, int64 more) => (float[1, 8] y, float[k, 1, 8] all) {{
        {most}
        yes = Constant <value = bool {{1}}> ()
        y, all = Loop (n, yes, x) <
            body = round (int64 i, bool go, float[1, 8] s) => (bool on, float[1, 8] t, float[1, 8] u) {{
                on = Identity (go)
                t = MatMul (s, w)
                u = Identity (t)
            }}
        >
    }}"""


def test_a_loop_counts_its_rounds() -> None:
    walk = walked(parse(loop("n = Constant <value = int64 {5}> ()"), {"w": floats(8, 8)}))
    assert total(walk) == 5 * 64
    assert visit_of(walk, "Loop").outputs[1].dims == (5, 1, 8)
    assert walk.notes == {}


@pytest.mark.parametrize("most", ["n = Identity (more)", f"n = Constant <value = int64 {{{2**62}}}> ()"])
def test_a_loop_of_unknown_length_counts_once_and_says_so(most: str) -> None:
    walk = walked(parse(loop(most), {"w": floats(8, 8)}))
    assert total(walk) == 64
    assert len(walk.notes) == 1


def test_a_scan_counts_the_rows_it_runs_over() -> None:
    text = """
    <ir_version: 8, opset_import: ["": 17]>
    g (float[1, 4] first, float[6, 3] rows) => (float[1, 4] last, float[6, 1, 4] all) {
        last, all = Scan <num_scan_inputs = 1, body = step (float[1, 4] s, float[3] r) => (float[1, 4] t, float[1, 4] u) {
            t = MatMul (s, w)
            u = Add (t, b)
        }> (first, rows)
    }"""
    walk = walked(parse(text, {"w": floats(4, 4), "b": floats(4)}))
    assert total(walk) == 6 * 16
    assert visit_of(walk, "Scan").outputs[1].dims == (6, 1, 4)


def test_functions_run_at_every_call_and_their_weights_are_stored_once() -> None:
    text = """
    <ir_version: 9, opset_import: ["": 17, "mine": 1]>
    g (float[2, 4] x) => (float[2, 4] y) {
        a = mine.Layer <alpha = 2.0> (x, w1)
        y = mine.Layer <alpha = 3.0> (a, w2)
    }
    <domain: "mine", opset_import: ["": 17]>
    Layer <alpha> (x, w) => (y) {
        shift = Constant <value = float[4] {1, 2, 3, 4}> ()
        z = Gemm <alpha: float = @alpha> (x, w)
        y = Add (z, shift)
    }"""
    walk = walked(parse(text, {"w1": floats(4, 4), "w2": floats(4, 4)}))
    gemms = [v for v in walk.visits if v.node.op_type == "Gemm"]
    assert [next(a.f for a in v.node.attribute if a.name == "alpha") for v in gemms] == [2.0, 3.0]
    assert total(walk) == 2 * 2 * 16
    assert sorted(each.elements for each in walk.stored.values()) == [4, 16, 16]


def test_what_follows_an_unknown_operator_goes_by_what_the_file_declares() -> None:
    text = """
    <ir_version: 8, opset_import: ["": 17, "custom": 1]>
    g (float[2, 4] x) => (float[2, 3] y) <float[2, 4] a> { a = custom.Mystery (x)  y = MatMul (a, w) }"""
    walk = walked(parse(text, {"w": floats(4, 3)}))
    assert visit_of(walk, "MatMul").macs == 24
    assert visit_of(walk, "Mystery").macs is None


def test_what_is_made_of_constants_alone_is_a_constant() -> None:
    text = """
    <ir_version: 8, opset_import: ["": 17]>
    g (float[2, 4] x) => (float[2, 3] y) { t = Transpose (w)  s = Mul (t, scale)  y = MatMul (x, s) }"""
    walk = walked(parse(text, {"w": floats(3, 4), "scale": floats(1)}))
    weight = visit_of(walk, "MatMul").inputs[1]
    assert weight is not None
    assert weight.constant
    assert weight.through == {"Transpose", "Mul"}
    assert sorted(each.elements for each in weight.made_of) == [1, 12]


def test_numbers_decided_by_chance_are_not_known() -> None:
    node = helper.make_node("RandomNormal", [], ["r"], shape=[2, 2])
    graph = helper.make_graph([node], "g", [], [helper.make_tensor_value_info("r", 1, (2, 2))])
    walk = walked(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))
    value = visit_of(walk, "RandomNormal").outputs[0]
    assert (value.data, value.constant, value.dims) == (None, False, (2, 2))
