"""Sets of nodes that profiles may mean, if they are off."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx_ir as ir
import pytest
from exhaustive import cuts
from exhaustive.cuts import cheapest_cuts
from onnx import TensorProto, helper, numpy_helper

from optkit.quantization.variants.node_times import Profile
from optkit.quantization.variants.treatment import Treatment, Way
from optkit.quantization.variants.trial import Bench


def products() -> ir.Model:
    """Three matrix products, one after the other."""
    weights = [numpy_helper.from_array(np.ones((8, 8), np.float32), name) for name in "uvw"]
    nodes = [helper.make_node("MatMul", [x, w], [y], y) for x, w, y in (("x", "u", "a"), ("a", "v", "b"), ("b", "w", "y"))]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 8]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def told(operator: str, seconds: Mapping[str, float]) -> Profile:
    return Profile(seconds, {}, dict.fromkeys(seconds, operator))


@pytest.mark.parametrize(
    ("integers", "kept"),
    [
        ({"a": 2, "b": 30, "y": 2}, [{"a", "y"}]),  # beyond doubt
        ({"a": 2, "b": 12, "y": 2}, [{"a", "y"}]),  # no longer where integers take three quarters of that, but that saves nothing
        ({"a": 8, "b": 30, "y": 2}, [{"a", "y"}, {"y"}]),  # where they take a quarter more
        ({"a": 2, "b": 2, "y": 2}, []),
    ],
)
def test_what_is_in_doubt_is_tried_both_ways(
    integers: dict[str, float], kept: list[set[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profiles = {
        "float.onnx": told("MatMul", dict.fromkeys("aby", 9.0)),
        "made.onnx": told("MatMulInteger", {f"{name}_int32": seconds for name, seconds in integers.items()}),
    }
    monkeypatch.setattr(cuts, "profile_nodes", lambda path, feeds, threads, device: profiles[path.name])
    start = Treatment("dynamic", dict.fromkeys("aby", Way.DYNAMIC))

    def attempt(treatment: Treatment) -> Any:
        (tmp_path / "made.onnx").touch()
        return SimpleNamespace(treatment=treatment, path=tmp_path / "made.onnx")

    bench = SimpleNamespace(
        model=products(), profiled=(), threads=1, device="cpu", as_float=lambda: tmp_path / "float.onnx", attempt=attempt
    )
    found = list(cheapest_cuts(cast(Bench, bench), start))
    assert sorted(map(sorted, (t.ways for t in found))) == sorted(map(sorted, kept))
    assert len({t.name for t in found}) == len(found)
