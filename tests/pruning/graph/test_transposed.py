"""A ConvTranspose as the product of its rows, and solved again after pruning."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.datasets import Examples
from optkit.pruning.graph.cut_out import cut_out
from optkit.pruning.graph.groups import find_groups
from optkit.pruning.graph.refit import refit
from optkit.pruning.graph.rows import count_places, input_rows, output_rows, weight_from_rows, weight_rows, weights_per_output
from optkit.quantization.calibration.watched import open_watched
from optkit.quantization.calibration.watcher import Watcher

Build = Any
Ask = Callable[[ir.Model, Mapping[str, Array]], list[Array]]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kernel=st.sampled_from([(1, 1), (2, 2), (3, 2), (4, 4)]),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]),
    pads=st.sampled_from([{"pads": [1, 0, 0, 1]}, {"pads": [0, 0, 0, 0], "output_padding": [1, 0]}, {"auto_pad": "VALID"}, {}]),
)
def test_what_it_gives_is_the_product_of_its_rows(
    net: Build, ask: Ask, kernel: tuple[int, int], stride: int, dilation: int, groups: int, pads: dict[str, Any]
) -> None:
    assume("output_padding" not in pads or stride > 1)  # ONNX Runtime wants the padding smaller than the stride
    made = net(("N", 4, 5, 6))
    weight = made.weight(4, 3, *kernel)
    model = made.model(made.add("ConvTranspose", "x", weight, group=groups, strides=[stride] * 2, dilations=[dilation] * 2, **pads))
    x = np.random.default_rng(0).integers(-3, 4, (2, 4, 5, 6)).astype(np.float32)
    (y,) = ask(model, {"x": x})
    node = model.graph[0]
    held = node.inputs[1].const_value.numpy()
    assert count_places(node, x, summed=True) == y.size // y.shape[1]
    places = np.arange(count_places(node, x, summed=True))
    rows = weight_rows(node, held, summed=True)
    assert rows.shape[-1] == weights_per_output(node)
    given_ = np.einsum("gok,gpk->pgo", rows, input_rows(node, x, places, summed=True)).reshape(len(places), -1)
    assert np.array_equal(given_, output_rows(node, y, places))
    assert np.array_equal(weight_from_rows(node, rows, held.shape, summed=True), held)
    assert np.array_equal(weight_from_rows(node, weight_rows(node, held), held.shape), held)


def test_it_makes_up_for_channels_that_are_gone(net: Build) -> None:
    """Of eight channels each is a mixture of four: four can go, and nothing need change."""
    made = net(("N", 3, 5, 5), seed=2)
    draw = np.random.default_rng(2)
    few = draw.normal(size=(4, 3, 1, 1))
    mixed = np.concatenate([few, np.einsum("ab,bcij->acij", draw.normal(size=(4, 4)), few)]).astype(np.float32)
    wide = made.add("Conv", "x", made.constant(mixed))
    up = made.constant(draw.normal(size=(8, 6, 3, 3)).astype(np.float32))
    model = made.model(made.add("ConvTranspose", wide, up, made.constant(np.ones(6, np.float32)), strides=[2, 2]))
    found = find_groups(model)
    x = draw.normal(size=(24, 3, 5, 5)).astype(np.float32)
    wanted = open_watched(model, 1).run({"x": x})
    units = found.families[0].units
    cut = cut_out(model, found, units[4:])
    plain = _apart(wanted, open_watched(cut, 1).run({"x": x}))
    done = refit(cut, model, found, units[4:], Watcher(Examples("made up", {"x": x})), work=100)
    assert done.layers == 1
    assert plain > 0.1
    assert _apart(wanted, open_watched(cut, 1).run({"x": x})) < 0.01


def test_channels_of_groups_stay(net: Build) -> None:
    made = net(("N", 3, 5, 5))
    up = made.add("ConvTranspose", made.add("Conv", "x", made.weight(8, 3, 1, 1)), made.weight(8, 3, 3, 3), strides=[2, 2], group=2)
    assert not find_groups(made.model(up)).families


def _apart(one: Mapping[str, Array], other: Mapping[str, Array]) -> float:
    a, b = (np.asarray(next(iter(each.values())), np.float64) for each in (one, other))
    return float(((a - b) ** 2).sum() / (a**2).sum())
