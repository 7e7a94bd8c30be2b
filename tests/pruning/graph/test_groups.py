"""What goes together: what contributes nothing can be removed and nothing changes; what is not understood stays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.pruning.graph.cut_out import cut_out
from optkit.pruning.graph.groups import Groups, find_groups

Build = Any
Zeroed = Callable[[ir.Model, Groups, Array], ir.Model]
Ask = Callable[..., list[Array]]

X = np.random.default_rng(7).integers(-3, 4, (2, 3, 6, 6)).astype(np.float32)
BLOCKS = ("conv", "wide", "depthwise", "grouped", "residual", "gate", "branches", "parts", "window", "turned", "slopes", "norm", "pooled")


def _block(net: Any, kind: str, x: str, width: int) -> tuple[str, int]:
    """Add a block; returns its output and how many channels that has."""
    if kind == "conv":
        return net.conv(x, width, 6, 3), 6
    if kind == "wide":
        return net.conv(net.add("Relu", net.conv(x, width, 12)), 12, 6), 6
    if kind == "depthwise":
        return net.conv(net.conv(x, width, 6), 6, 12, 3, groups=6), 12
    if kind == "grouped":
        return net.conv(net.conv(x, width, 8), 8, 12, groups=4), 12
    if kind == "residual":
        return net.clip(net.add("Add", x, net.conv(net.conv(x, width, 6, 3), 6, width))), width
    if kind == "gate":
        squeezed = net.conv(net.conv(net.add("GlobalMaxPool", x), width, 4), 4, width)
        return net.clip(net.add("Mul", x, net.add("Relu", squeezed))), width
    if kind == "branches":
        return net.add("Concat", net.conv(x, width, 3), x, net.conv(x, width, 5), axis=1), 8 + width
    if kind == "parts":
        parts = net.add("Split", net.conv(x, width, 8), net.constant(np.array([3, 5])), outputs=2, axis=1)
        return net.add("Concat", parts[1], net.conv(parts[0], 3, 3), axis=1), 8
    if kind == "window":
        bounds = [net.constant(np.array([v])) for v in (1, -1, 1)]
        return net.add("Slice", net.conv(x, width, 7), *bounds), 5
    if kind == "turned":
        last = net.add("Transpose", net.conv(x, width, 5), perm=[0, 2, 3, 1])
        hidden = net.clip(net.add("MatMul", last, net.weight(5, 9)))
        return net.add("Transpose", net.clip(net.add("MatMul", hidden, net.weight(9, 4))), perm=[0, 3, 1, 2]), 4
    if kind == "slopes":
        return net.add("PRelu", net.conv(x, width, 6), net.constant(np.arange(6, dtype=np.float32).reshape(6, 1, 1))), 6
    if kind == "norm":
        scale, bias, mean, var = (net.constant(np.full(width, v, np.float32)) for v in (2, 1, 1, 1))
        return net.clip(net.add("BatchNormalization", x, scale, bias, mean, var, epsilon=0.0)), width
    padded = net.add("Pad", x, net.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1])))
    return net.add("MaxPool", padded, kernel_shape=[3, 3], strides=[1, 1]), width


def _head(net: Any, kind: str, x: str, width: int) -> str:
    if kind == "flat":
        return str(net.add("Gemm", net.add("Flatten", x), net.weight(5, width * 36), net.weight(5), transB=1))
    if kind == "reshaped":
        flat = net.add("Reshape", x, net.constant(np.array([0, width * 36])))
        return str(net.add("MatMul", flat, net.weight(width * 36, 4)))
    pooled = net.add("ReduceMax", x, axes=[2, 3], keepdims=0)
    return str(net.add("Gemm", pooled, net.weight(width, 4)))


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=5),
    head=st.sampled_from(["flat", "reshaped", "pooled"]),
    seed=st.integers(0, 1000),
)
def test_what_contributes_nothing_can_go(net: Build, zeroed: Zeroed, ask: Ask, kinds: list[str], head: str, seed: int) -> None:
    made = net(seed=seed)
    x, width = made.conv("x", 3, 6), 6
    for kind in kinds:
        x, width = _block(made, kind, x, width)
    model = made.model(_head(made, head, x, width))
    groups = find_groups(model)
    draw = np.random.default_rng(seed)
    subsets = [draw.permutation(f.units)[: draw.integers(0, len(f.units))] for f in groups.families]
    removed = np.concatenate([np.zeros(0, np.int64), *subsets])
    smaller = cut_out(model, groups, removed)
    before, after = ask(zeroed(model, groups, removed), {"x": X}), ask(smaller, {"x": X})
    assert np.array_equal(before[0], after[0])
    tensors = [[v.const_value for v in m.graph.initializers.values() if v.const_value is not None] for m in (model, smaller)]
    sizes = [sum(tensor.nbytes for tensor in each) for each in tensors]
    assert (sizes[1] < sizes[0]) == (len(removed) > 0)


def test_the_channels_of_every_block_can_go(net: Build) -> None:
    found = {}
    for kind in BLOCKS:
        made = net()
        x, width = _block(made, kind, made.conv("x", 3, 6), 6)
        groups = find_groups(made.model(_head(made, "flat", x, width)))
        found[kind] = sum(len(f.units) for f in groups.families)
    units = {"conv": 12, "wide": 24, "depthwise": 12, "grouped": 10, "residual": 12, "gate": 10, "branches": 14, "parts": 17}
    assert found == units | {"window": 11, "turned": 24, "slopes": 12, "norm": 6, "pooled": 6}


@pytest.mark.parametrize(
    "freezing",
    [
        lambda net, x: net.add("Softmax", x, axis=1),
        lambda net, x: net.add("LpNormalization", x, axis=1),
        lambda net, x: net.add("ReduceSum", x, net.constant(np.array([1])), keepdims=1),
        lambda net, x: net.add("LRN", x, size=3),
        lambda net, x: net.add("DepthToSpace", x, blocksize=2),
        lambda net, x: net.add("Gather", x, net.constant(np.array([2, 1, 0])), axis=1),
        lambda net, x: net.add("Pad", x, net.constant(np.array([0, 1, 0, 0, 0, 0, 0, 0]))),
        lambda net, x: net.add("Squeeze", net.add("Unsqueeze", x, net.constant(np.array([0])))),
    ],
    ids=["softmax", "norm", "sum over channels", "lrn", "depth to space", "picked", "padded", "squeezed blindly"],
)
def test_what_works_on_channels_as_a_whole_keeps_them(net: Build, freezing: Callable[[Any, str], str]) -> None:
    made = net()
    last = freezing(made, made.conv("x", 3, 4))
    assert find_groups(made.model(made.add("GlobalMaxPool", last))).families == ()


def test_outputs_and_inputs_keep_their_channels(net: Build) -> None:
    made = net()
    hidden = made.conv("x", 3, 6)
    groups = find_groups(made.model(made.conv(hidden, 6, 4), hidden))
    assert groups.families == ()


def test_layer_norm_keeps_what_it_normalizes_and_not_what_is_behind_it(net: Build) -> None:
    made = net(("N", 5, 8))
    normal = made.add("LayerNormalization", made.add("MatMul", "x", made.weight(8, 6)), made.weight(6), made.weight(6))
    model = made.model(made.add("MatMul", made.add("Erf", made.add("MatMul", normal, made.weight(6, 16))), made.weight(16, 3)))
    assert [(f.name, len(f.units)) for f in find_groups(model).families] == [("MatMul_2", 16)]


def test_a_weight_that_two_layers_share_goes_for_both(net: Build, zeroed: Zeroed, ask: Ask) -> None:
    made = net()
    hidden, shared = made.conv("x", 3, 6), made.weight(6, 6, 1, 1)
    twice = made.clip(made.add("Conv", made.clip(made.add("Conv", hidden, shared)), shared))
    model = made.model(made.conv(twice, 6, 2))
    groups = find_groups(model)
    assert [len(f.units) for f in groups.families] == [6]
    removed = groups.families[0].units[:2]
    before, after = ask(zeroed(model, groups, removed), {"x": X}), ask(cut_out(model, groups, removed), {"x": X})
    assert np.array_equal(before[0], after[0])


def test_excluded_layers_keep_their_channels(net: Build) -> None:
    made = net()
    model = made.model(made.conv(made.conv(made.conv("x", 3, 6), 6, 8), 8, 2))
    assert [f.name for f in find_groups(model).families] == ["Conv_0", "Conv_2"]
    assert [f.name for f in find_groups(model, ["Conv_2"]).families] == ["Conv_0"]
    assert [f.name for f in find_groups(model, ["Conv_4"]).families] == ["Conv_0", "Conv_2"]
    assert find_groups(model, ["Conv"]).families == ()


@pytest.mark.parametrize("fused", [False, True], ids=["three products", "one product"])
def test_heads_go_whole(net: Build, zeroed: Zeroed, ask: Ask, fused: bool) -> None:
    made = net(("N", "S", 8), seed=3)
    if fused:
        joint = made.add("Reshape", made.add("MatMul", "x", made.weight(8, 36)), made.constant(np.array([0, -1, 3, 4, 3])))
        parts = made.add("Split", made.add("Transpose", joint, perm=[2, 0, 3, 1, 4]), outputs=3, axis=0)
        query, key, value = (made.add("Squeeze", p, made.constant(np.array([0]))) for p in parts)
    else:
        split = made.constant(np.array([0, 0, 4, 3]))
        query, key, value = (
            made.add("Transpose", made.add("Reshape", made.add("MatMul", "x", made.weight(8, 12)), split), perm=[0, 2, 1, 3]) for _ in "qkv"
        )
    scores = made.add("MatMul", query, made.add("Transpose", key, perm=[0, 1, 3, 2]))
    mixed = made.add("Transpose", made.add("MatMul", made.add("Softmax", scores, axis=-1), value), perm=[0, 2, 1, 3])
    model = made.model(made.add("MatMul", made.add("Reshape", mixed, made.constant(np.array([0, 0, 12]))), made.weight(12, 5)))
    groups = find_groups(model)
    assert [len(f.units) for f in groups.families] == [4]
    removed = groups.families[0].units[[0, 2]]
    feed = {"x": np.random.default_rng(0).normal(size=(2, 5, 8)).astype(np.float32)}
    before, after = ask(zeroed(model, groups, removed), feed), ask(cut_out(model, groups, removed), feed)
    np.testing.assert_allclose(before[0], after[0], rtol=1e-5, atol=1e-5)
