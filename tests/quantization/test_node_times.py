"""Times by node from a profile, and what each node saves."""

from pathlib import Path

import pytest

from optkit.quantization.node_times import gains, node_times, time_of

from .tiny import draw, read, saved


def test_every_node_of_a_model_has_a_time(tmp_path: Path) -> None:
    model = read("(float[N,40] x) => (float[N,40] y) { m = MatMul(x, w) s = Sin(m) y = Cos(s) }", w=draw(40, 40))
    path = tmp_path / "model.onnx"
    path.write_bytes(saved(model))
    found = node_times(path, [{"x": draw(2, 40)}, {"x": draw(3, 40)}], 1, "cpu")
    assert set(found) == {"m", "s", "y"}
    assert all(0 < seconds < 1 for seconds in found.values())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("name", "seconds"), [("conv", 3.0), ("conv1", 2.0), ("pool", None), ("relu", 5.0), ("conv_1", 3.0), ("", None)])
def test_a_node_is_found_under_the_names_that_the_runtime_gives_it(name: str, seconds: float | None) -> None:
    times = {"conv": 1.0, "conv_1_quant": 3.0, "conv1": 2.0, "relu/fused": 5.0, "_odd": 9.0}
    assert time_of(name, times) == (9.0 if name == "" else seconds)


def test_gains_are_seconds_saved_by_nodes_known_in_both() -> None:
    found = gains(["a", "b", "c", "d"], {"a": 3.0, "b": 1.0, "c": 1.0}, {"a_quant": 1.0, "b": 1.5, "d": 1.0})
    assert found == {"a": 2.0, "b": -0.5}
