"""What is removed, what that costs and how the rest makes up for it, against plain least squares."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.datasets import Examples
from optkit.pruning.graph.eliminate import Reader, find_order, refitted
from optkit.pruning.graph.groups import find_groups
from optkit.pruning.graph.prune import Pruner, Wishes
from optkit.pruning.graph.refit import best_change
from optkit.pruning.graph.rows import count_places, input_rows, output_rows, weight_from_rows, weight_rows
from optkit.pruning.graph.weigh import Limits
from optkit.quantization.calibration.watched import open_watched
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.fidelity.reference import Reference

Build = Any
Ask = Callable[[ir.Model, Mapping[str, Array]], list[Array]]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kernel=st.sampled_from([(1, 1), (3, 2)]),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]),
    pads=st.sampled_from([{"pads": [1, 0, 2, 1]}, {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"auto_pad": "VALID"}]),
)
def test_a_convolution_is_the_product_of_its_rows(
    net: Build, ask: Ask, kernel: tuple[int, int], stride: int, dilation: int, groups: int, pads: dict[str, Any]
) -> None:
    made = net(("N", 4, 9, 8))
    strides = {"strides": [stride] * 2, "dilations": [1 if "auto_pad" in pads else dilation] * 2}
    model = made.model(made.add("Conv", "x", made.weight(8, 4 // groups, *kernel), group=groups, **strides, **pads))
    x = np.random.default_rng(0).integers(-3, 4, (2, 4, 9, 8)).astype(np.float32)
    (y,) = ask(model, {"x": x})
    node = model.graph[0]
    weight = node.inputs[1].const_value.numpy()
    places = np.arange(count_places(node, x))
    rows = weight_rows(node, weight)
    given = np.einsum("gok,gpk->pgo", rows, input_rows(node, x, places)).reshape(len(places), -1)
    assert np.array_equal(given, output_rows(node, y, places))
    assert np.array_equal(weight_from_rows(node, rows, weight.shape), weight)


@pytest.mark.parametrize("columns", [1, 3])
def test_costs_are_those_of_least_squares(columns: int) -> None:
    draw = np.random.default_rng(columns)
    rows = draw.normal(size=(400, 8 * columns)) @ draw.normal(size=(8 * columns, 8 * columns))
    reader = Reader(draw.normal(size=(5, 8 * columns)), rows.T @ rows / 400, np.tile(np.arange(1, 9), columns))
    order = find_order(np.arange(1, 9), [reader])
    held = reader.damped()
    for count in range(1, 8):
        stays = ~np.isin(reader.columns, order.units[:count])
        solved = refitted(reader, order.units[:count])
        change = reader.weight.copy()
        change[:, stays] -= solved
        error = np.einsum("ok,kl,ol->", change, held, change) / reader.energy()
        assert order.cost[count] == pytest.approx(error, rel=1e-6)
    first = [np.einsum("ok,kl,ol->", d, held, d) for d in (_error_without(reader, unit) for unit in range(1, 9))]
    assert order.units[0] == 1 + int(np.argmin(first))


def _error_without(reader: Reader, unit: int) -> Array:
    error = reader.weight.copy()
    error[:, reader.columns != unit] -= refitted(reader, np.array([unit]))
    return error


def test_what_others_repeat_goes_first() -> None:
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(500, 6))
    rows[:, 4] = 2 * rows[:, 1] - rows[:, 0]
    order = find_order(np.arange(1, 7), [Reader(draw.normal(size=(3, 6)), np.cov(rows.T), np.arange(1, 7))])
    assert order.units[0] in (1, 2, 5)
    assert order.cost[1] < 0.02 < order.cost[2]


def _moments(x: Array, y: Array) -> tuple[Array, Array]:
    return (x.T @ x / len(x))[None], (y.T @ x / len(x))[None]


def test_weights_move_to_what_is_wanted_and_only_where_examples_agree() -> None:
    draw = np.random.default_rng(0)
    x, wanted, had = draw.normal(size=(400, 12)), draw.normal(size=(3, 12)), draw.normal(size=(1, 3, 12))
    one, other = (_moments(part, part @ wanted.T) for part in (x[:200], x[200:]))
    change = best_change(had, one, other, _moments(x, x @ wanted.T))
    np.testing.assert_allclose(had + change, wanted[None], atol=0.02)
    few, noise = draw.normal(size=(8, 12)), draw.normal(size=(8, 3))
    one, other = (_moments(part, part @ had[0].T + n) for part, n in ((few[:4], noise[:4]), (few[4:], -noise[:4])))
    assert np.abs(best_change(had, one, other, _moments(few, few @ had[0].T))).max() < 0.5


def _pruner(net: Build, wishes: Wishes) -> tuple[Pruner, Reference]:
    """A network of 24 channels of which 8 say it all: the others are mixtures of them, behind a Relu that is always open."""
    made = net(("N", 3, 6, 6), seed=1)
    draw = np.random.default_rng(1)
    few = draw.normal(size=(8, 3, 3, 3))
    mixed = np.concatenate([few, np.einsum("ab,bcij->acij", draw.normal(size=(16, 8)), few)]).astype(np.float32)
    wide = made.add("Relu", made.add("Conv", "x", made.constant(mixed), made.constant(np.full(24, 60, np.float32)), pads=[1] * 4))
    last = made.add("Conv", wide, made.constant(draw.normal(size=(16, 24, 3, 3)).astype(np.float32)))
    pooled = made.add("Flatten", made.add("GlobalAveragePool", made.add("Relu", last)))
    model = made.model(made.add("Gemm", pooled, made.constant(draw.normal(size=(16, 4)).astype(np.float32))))
    x = draw.normal(size=(48, 3, 6, 6)).astype(np.float32)
    reference = Reference(model, open_watched(model, 1), list(Examples("made up", {"x": x[:16]}).feeds()))
    return Pruner(model, Watcher(Examples("made up", {"x": x[16:]})), reference, wishes), reference


@pytest.mark.slow
def test_channels_that_repeat_others_go_and_the_rest_makes_up_for_them(net: Build) -> None:
    pruner, reference = _pruner(net, Wishes(0.5, exclude=("Conv_2",)))
    pruned = pruner.prune(0.6)
    assert pruned.widths == {"Conv_0": (24, 8)}
    after = reference.compare(open_watched(pruned.model, 1)).sqnr
    assert after > pruned.plain_sqnr + 15
    assert pruned.size.macs < pruner.size.macs / 2


@pytest.mark.parametrize("measure", ["macs", "parameters", "channels"])
def test_targets_are_met(net: Build, measure: Any) -> None:
    pruner, _ = _pruner(net, Wishes(0.5, measure, limits=Limits(round_to=1), refit=False))
    size = pruner.prune(0.4).size
    if measure != "channels":
        assert 0.5 < getattr(size, measure) / getattr(pruner.size, measure) <= 0.6
    assert size.macs < pruner.size.macs


@pytest.mark.slow
def test_the_same_again_gives_the_same_bytes(net: Build) -> None:
    models = [_pruner(net, Wishes(0.5))[0].prune(0.5).model for _ in range(2)]
    one, two = ([v.const_value.numpy().tobytes() for v in m.graph.initializers.values()] for m in models)  # type: ignore[union-attr]
    assert one == two


def test_magnitude_takes_the_smallest(net: Build) -> None:
    made = net()
    weight = np.ones((16, 3, 1, 1), np.float32) * np.array([1, 9] * 8, np.float32).reshape(16, 1, 1, 1)
    wide = made.add("Relu", made.add("Conv", "x", made.constant(weight)))
    model = made.model(made.add("GlobalMaxPool", made.add("Conv", wide, made.weight(4, 16, 1, 1))))
    x = np.random.default_rng(0).normal(size=(8, 3, 6, 6)).astype(np.float32)
    reference = Reference(model, open_watched(model, 1), list(Examples("made up", {"x": x}).feeds()))
    pruner = Pruner(model, Watcher(Examples("made up", {"x": x})), reference, Wishes(0.5, importance="magnitude", refit=False))
    kept = pruner.prune(0.5).model.graph.initializers["c0"].const_value
    assert kept is not None
    assert np.array_equal(kept.numpy().ravel(), np.full(24, 9))
    assert [len(f.units) for f in find_groups(model).families] == [16]
