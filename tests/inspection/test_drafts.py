"""What INT8 is expected to gain where it was tried."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.datasets import Examples
from optkit.inspection.drafts import LEARNED, try_batch, try_drafts
from optkit.inspection.predict import of_drafts
from optkit.inspection.under_roof import Draft
from optkit.quantization.variants.node_times import Profile
from optkit.quantization.variants.treatment import Treatment


def nobody(what: str, done: int, total: int) -> None:
    pass


def saved(path: Path, operator: str = "MatMul", rows: int | str = 1) -> Path:
    weight = numpy_helper.from_array((np.random.default_rng(0).standard_normal((64, 64)) * 0.1).astype(np.float32), "w")
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, 64]) for name in "xy"]
    nodes = [helper.make_node(operator, ["x", "w"] if operator == "MatMul" else ["x"], ["y"], "only")]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [weight] if operator == "MatMul" else [])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def some(count: int, *, synthetic: bool = False) -> Examples:
    values = np.random.default_rng(1).standard_normal((count, 64)).astype(np.float32)
    return Examples("made", {"x": values}, synthetic=synthetic)


@pytest.mark.slow
def test_drafts_are_made_run_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optkit.inspection.drafts.SECONDS", 0.2)
    path = saved(tmp_path / "m.onnx")
    found = try_drafts(path, some(100), "cpu", 1, nobody)
    assert found is not None
    assert {"static", "dynamic"} <= {draft.method for draft in found}
    assert [draft.speedup for draft in found] == sorted((draft.speedup for draft in found), reverse=True)
    assert all(draft.faithful for draft in found)  # one product of evenly spread values loses next to nothing
    made_up = try_drafts(path, some(LEARNED, synthetic=True), "cpu", 1, nobody)
    assert made_up is not None
    assert {draft.faithful for draft in made_up} == {None}
    assert "dynamic, smoothed" not in {draft.method for draft in made_up}


@pytest.mark.slow
def test_what_quantize_tries_next_is_tried_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fastest without what integers slow down; and nothing smoothed where the same holds without."""
    monkeypatch.setattr("optkit.inspection.drafts.SECONDS", 0.01)
    asked = []

    def without(model: ir.Model, start: Treatment, before: Profile, after: Profile) -> tuple[Treatment, float]:
        asked.append((start.name, before.whole > 0, after.whole > 0))
        return replace(start, name=f"{start.name}, less"), 0.0

    monkeypatch.setattr("optkit.inspection.drafts.without_slow", without)
    found = try_drafts(saved(tmp_path / "m.onnx"), some(100), "cpu", 1, nobody)
    assert found is not None
    methods = {draft.method for draft in found}
    assert asked
    assert set(asked) <= {(name, True, True) for name in methods}
    assert {f"{name}, less" for name, *_ in asked} <= methods
    assert not any("smoothed" in name for name in methods)


def test_what_has_nothing_for_integers_has_no_draft_and_what_cannot_be_tried_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert try_drafts(saved(tmp_path / "none.onnx", "Relu"), some(8), "cpu", 1, nobody) == ()
    monkeypatch.setattr("optkit.inspection.drafts.LARGEST", 1000)
    assert try_drafts(saved(tmp_path / "large.onnx"), some(8), "cpu", 1, nobody) is None


def test_the_fastest_draft_is_expected_where_its_answers_hold() -> None:
    stored = Draft("8-bit weights, float compute", 1.0, True)
    assert of_drafts([Draft("static", 2.5, True), stored]) == (2.5, "tried here: static, 2.5×")
    speedup, why = of_drafts([Draft("static", 2.5, None), stored])
    assert speedup == 2.5
    assert "made-up" in why
    assert of_drafts([stored]) == (1.0, "tried here: no draft was faster")
    assert of_drafts([]) == (1.0, "nothing for integers")


def test_half_of_the_way_is_expected_where_answers_do_not_hold() -> None:
    drafts = [Draft("static", 4.0, False), Draft("dynamic", 1.1, True), Draft("stored", 0.9, True)]
    speedup, why = of_drafts(drafts)
    assert speedup == pytest.approx((4.0 * 1.1) ** 0.5)
    assert "1.1× holds" in why
    assert of_drafts([Draft("static", 4.0, False)])[0] == 2.0


@pytest.mark.slow
def test_batches_are_tried_where_the_model_takes_them(tmp_path: Path) -> None:
    found = try_batch(saved(tmp_path / "free.onnx", rows="n"), some(3), "cpu", 1)
    assert found is not None
    assert found > 1  # a call costs more than eight rows
    assert try_batch(saved(tmp_path / "fixed.onnx"), some(3), "cpu", 1) is None
