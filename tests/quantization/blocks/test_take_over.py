"""Integers that somebody else chose, put where the floats stand that they stand for."""

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.errors import ModelError
from optkit.quantization.blocks.blocked import Blocked, Scheme
from optkit.quantization.blocks.take_over import check_held, take_over
from optkit.runtimes.onnxruntime import open_onnx

INPUTS, OUTPUTS = 96, 48


def chosen(seed: int, bits: int, size: int, symmetric: bool, rows: int = OUTPUTS, inputs: int = INPUTS) -> Blocked:
    """Integers as no rounding of optkit's would choose them."""
    dice, scheme = np.random.default_rng(seed), Scheme(bits, size, symmetric)
    groups = scheme.groups(inputs)
    zeros = np.full((rows, groups), scheme.middle) if symmetric else dice.integers(0, scheme.top + 1, (rows, groups))
    scales = dice.uniform(0.01, 0.1, (rows, groups)).astype(np.float16).astype(np.float32)
    return Blocked(dice.integers(0, scheme.top + 1, (rows, inputs)).astype(np.uint8), scales, zeros.astype(np.uint8), scheme)


def graph(*layers: Blocked, wanted: str = "MatMul") -> ir.Model:
    """x → MatMul → …, each with the floats that a layer stands for, as exporters turn them; the names say nothing."""
    x = ir.val("x", ir.DataType.FLOAT, ("N", layers[0].integers.shape[1]))
    nodes, held, at = [], [], x
    for i, layer in enumerate(layers):
        real = layer.real()
        weight = ir.Value(name=f"val_{i}", const_value=ir.tensor(np.ascontiguousarray(real.T)))
        node = ir.Node("", wanted, [at, weight], name=f"node_{i}", outputs=[ir.val(f"y{i}", ir.DataType.FLOAT, ("N", len(real)))])
        nodes.append(node)
        held.append(weight)
        at = node.outputs[0]
    made = ir.Graph([x], [at], nodes=nodes, initializers=held, opset_imports={"": 20}, name="g")
    return ir.Model(made, ir_version=10)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 99), bits=st.sampled_from([4, 8]), size=st.sampled_from([16, 32, 64, 128]), symmetric=st.booleans())
def test_the_runtime_computes_what_the_integers_stand_for(seed: int, bits: int, size: int, symmetric: bool) -> None:
    held = chosen(seed, bits, size, symmetric)
    made, taken = take_over(graph(held), {"a.layer": held}, level=0)
    assert [node.op_type for node in made.graph] == ["MatMulNBits"]
    assert taken == {"node_0": held}
    x = np.random.default_rng(seed).standard_normal((5, INPUTS)).astype(np.float32)
    answer = open_onnx(ir.to_proto(made).SerializeToString()).run({"x": x})["y0"]
    real = (held.integers.astype(np.float64) - np.repeat(held.zeros, size, 1)[:, :INPUTS]) * np.repeat(held.scales, size, 1)[:, :INPUTS]
    np.testing.assert_allclose(np.asarray(answer, np.float64), x @ real.T, atol=1e-5 * float(np.abs(x @ real.T).max()))


def test_layers_are_found_by_their_numbers_not_by_place() -> None:
    first, second = chosen(1, 4, 32, False, 96), chosen(2, 4, 32, False, 96)
    made, taken = take_over(graph(first, second), {"late": second, "early": first}, level=0)
    assert taken == {"node_0": first, "node_1": second}
    check_held(made, taken)


def test_a_layer_that_is_not_there_is_named() -> None:
    held = chosen(1, 4, 32, False)
    nearly = replace(held, scales=held.scales * np.float32(1.001))
    with pytest.raises(ModelError, match=r"1 of 2 layers are not .*: b\.nearly"):
        take_over(graph(held), {"a": held, "b.nearly": nearly}, level=0)


def test_other_weights_stay_float() -> None:
    first, second = chosen(1, 4, 32, False, 96), chosen(2, 4, 32, False)
    model = graph(first, second)
    made, _ = take_over(model, {"a": first}, level=0)
    assert [node.op_type for node in made.graph] == ["MatMulNBits", "MatMul"]
    assert [node.op_type for node in model.graph] == ["MatMul", "MatMul"], "the graph that was given is as it was"


@pytest.mark.parametrize("part", ["integers", "zeros", "scales"])
def test_one_wrong_number_is_seen(part: str) -> None:
    held = chosen(3, 4, 32, False)
    made, taken = take_over(graph(held), {"a": held}, level=0)
    wrong = getattr(held, part).copy()
    wrong[-1, -1] = wrong[-1, -1] + 1 if wrong[-1, -1] < 15 else 0
    with pytest.raises(ModelError, match="does not hold the integers"):
        check_held(made, {"node_0": replace(taken["node_0"], **{part: wrong})})
