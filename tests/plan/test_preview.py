from collections.abc import Callable
from pathlib import Path

import pytest

from optkit.errors import DataError, OptkitError, UsageError
from optkit.optimize import optimize
from optkit.plan import make_plan
from optkit.plan.preview import SplitSeen, StepSeen, gather, preview
from optkit.recipe import Recipe
from optkit.store import Store

Read = Callable[..., Recipe]


def test_a_preview_shows_what_is_there(recipe: Read, tmp_path: Path) -> None:
    plan = make_plan(recipe("model: m.onnx", "data: {evaluation: d.npz, calibration: c.npz}", "passes: [scale, scale: {by: 3}]"))
    seen = preview(plan, None)
    assert seen.data == {
        "calibration": SplitSeen(str(tmp_path / "c.npz"), 20, False),
        "evaluation": SplitSeen(str(tmp_path / "d.npz"), 40, True),
    }
    assert seen.steps == (StepSeen("scale", {}, False), StepSeen("scale", {"by": 3.0}, False))
    assert (seen.devices, seen.remarks) == (("cpu",), ())


def test_steps_that_are_kept_show_up_to_the_first_that_is_not(recipe: Read, tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")

    def kept(passes: str) -> list[bool]:
        plan = make_plan(recipe("model: m.onnx", "data: d.npz", f"passes: {passes}"))
        return [step.kept for step in preview(plan, store).steps]

    plan = make_plan(recipe("model: m.onnx", "data: d.npz", "passes: [scale, calibrated]"))
    material = gather(plan)
    optimize(material.source, plan.steps, target=tmp_path / "out.onnx", examples=material.examples, cache=store)
    assert kept("[scale, calibrated]") == [True, True]
    assert kept("[scale, scale, calibrated]") == [True, False, False]
    assert kept("[scale: {by: 3}, calibrated]") == [False, False]
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("lines", "kind", "says"),
    [
        (("data: no.npz",), DataError, "r.yaml:3: "),
        (("data: {evaluation: d.npz, calibration: m.onnx}",), OptkitError, "r.yaml:3: "),
        (("data: c.npz", "measure: {metrics: top1}"), DataError, "r.yaml:4: top1 needs labels"),
        (("data: c.npz", "gate: {max_drop: 1%}"), DataError, "r.yaml:4: max_drop limits accuracy, which needs labels"),
        (("data: odd.npz", "gate: {max_drop: 1%}"), DataError, "r.yaml:4: max_drop limits accuracy, and the labels of"),
        (("data: synthetic", "gate: {max_drop: 1%}"), DataError, "r.yaml:4: max_drop limits accuracy, which needs labels, and made-up"),
        (("data: d.npz", "measure: {devices: [warp]}"), UsageError, "warp"),
    ],
)
def test_what_does_not_fit_is_said_before_any_work(recipe: Read, lines: tuple[str, ...], kind: type[OptkitError], says: str) -> None:
    plan = make_plan(recipe("model: m.onnx", "passes: [scale]", *lines))
    with pytest.raises(kind) as caught:
        gather(plan)
    assert says in str(caught.value)
    assert "\nhint: " in str(caught.value)


def test_a_reader_is_told_how_the_data_were_used(recipe: Read) -> None:
    def remark(data: str) -> str:
        return " ".join(gather(make_plan(recipe("model: m.onnx", f"data: {data}", "passes: [scale]"))).remarks)

    assert "10 examples to calibrate with, 30 others to compare on" in remark("d.npz")
    assert "on others it may do worse" in remark("{calibration: d.npz}")
    assert "on others it may do worse" in remark("{calibration: d.npz, evaluation: d.npz}")
    assert remark("{calibration: c.npz, evaluation: d.npz}") == ""
    assert remark("synthetic") == ""
