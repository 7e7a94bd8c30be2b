from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.errors import UsageError
from optkit.formats import read_artifact
from optkit.gate import Limits
from optkit.measure import Settings, was_interrupted
from optkit.meters import Fresh
from optkit.progress import Progress
from optkit.prove import prove
from optkit.report import load_report, save_report

QUICK = Settings(seconds=0.05)
X = np.random.default_rng(3).normal(size=(60, 4)).astype(np.float32)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Artifact]:
    # fresh processes take seconds; tests/measure has them
    monkeypatch.setattr("optkit.measure._side_by_side.cold_starts", lambda paths, *_: [[Fresh(0.01, 0.001, 10**6)] * 6 for _ in paths])
    return [read_artifact(save(tmp_path / f"{name}.onnx", scale)) for name, scale in (("a", 1.0), ("b", 2.0))]


def save(path: Path, scale: float) -> Path:
    """x [n, 4] → the same classes at any scale; NaN at an infinite one."""
    weights = np.random.default_rng(1).normal(size=(4, 3)) * scale
    ports = (
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
    )
    stored = onnx.numpy_helper.from_array(weights.astype(np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "tiny", *ports, [stored])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def labelled() -> Examples:
    weights = np.random.default_rng(1).normal(size=(4, 3))
    return Examples("made here", {"x": X}, labels=(X @ weights).argmax(axis=1), groups=np.arange(60) // 2)


def never(*_: object, **__: object) -> None:
    raise AssertionError("it was measured")


@pytest.mark.slow
def test_from_models_and_examples_to_a_report_that_can_be_kept(models: list[Artifact], labelled: Examples, tmp_path: Path) -> None:
    told: list[str] = []
    limits = Limits(max_drop=0.5, max_size=1.5)
    report = prove(models, labelled, QUICK, limits=limits, progress=lambda what, done, total: told.append(what))
    assert (report.title, [each.name for each in report.measurements]) == ("a.onnx → b.onnx", ["a.onnx", "b.onnx"])
    assert [(check.limit, check.outcome) for check in report.verdict.checks] == [("--max-drop 50%", "passed"), ("--max-size 1.5", "passed")]  # type: ignore[union-attr]
    top1 = next(delta for delta in report.comparisons[0].deltas if delta.metric == "top1")
    assert (top1.before, top1.after, top1.n, top1.verdict) == (1.0, 1.0, 30, "same")
    assert report.notes == ("60 examples in 30 groups of made here, with labels",)
    assert told
    save_report(report, tmp_path / "report.json")
    assert load_report(tmp_path / "report.json") == report


@pytest.mark.slow
def test_made_up_inputs_are_told_of(models: list[Artifact]) -> None:
    report = prove(models, None, QUICK, synthetic=True, samples=20)
    assert report.notes == ("20 made-up examples",)
    assert "made up" in report.comparisons[0].warnings[0].what
    assert "top1" not in {delta.metric for delta in report.comparisons[0].deltas}


@pytest.mark.slow
def test_an_agreement_that_is_limited_is_measured(models: list[Artifact], labelled: Examples) -> None:
    report = prove(models, labelled, replace(QUICK, metrics=("top1",)), limits=Limits(min_agreement=0.5))
    assert report.verdict is not None
    assert report.verdict.outcome == "passed"


@pytest.mark.slow
def test_answers_that_are_not_finite_fail_any_gate(models: list[Artifact], labelled: Examples, tmp_path: Path) -> None:
    broken = read_artifact(save(tmp_path / "c.onnx", float("inf")))
    report = prove([models[0], broken], labelled, QUICK, limits=Limits(max_size=2))
    assert report.verdict is not None
    assert report.verdict.outcome == "failed"
    assert "NaN or infinite answers" in report.verdict.checks[0].reason


@pytest.mark.parametrize(
    ("limits", "complaint"), [(Limits(max_drop=0.01), "no accuracy was measured"), (Limits(), "there is no limit to hold a model against")]
)
def test_what_cannot_be_judged_is_not_measured_first(
    models: list[Artifact], monkeypatch: pytest.MonkeyPatch, limits: Limits, complaint: str
) -> None:
    monkeypatch.setattr("optkit.prove.measure", never)
    with pytest.raises(UsageError, match=complaint):
        prove(models, Examples("unlabelled", {"x": X}), limits=limits)
    with pytest.raises(UsageError, match=complaint):
        prove(models, Examples("unlabelled", {"x": X}), Settings(metrics=("cosine",)), limits=limits)


def test_one_model_is_not_a_comparison(models: list[Artifact]) -> None:
    with pytest.raises(UsageError, match="nothing to compare with"):
        prove(models[:1], None, synthetic=True)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (np.array(["cat", "dog", "cow"] * 20), "the labels (text [60]) were not used: they fit no metric that is chosen by itself"),
        (np.r_[0.0, 1.0, np.nan, np.ones(57)], "the labels were not used: that of example 2 is NaN"),
        (np.arange(60) % 3, None),
        (None, None),
    ],
)
def test_labels_that_no_score_was_taken_of_are_told_of(models: list[Artifact], labels: Any, told: str | None) -> None:
    report = prove(models, Examples("made here", {"x": X}, labels=labels), Settings(seconds=0.01))
    found = [warned.what for warned in report.comparisons[0].warnings if "labels" in warned.what]
    assert found == ([] if told is None else [told])


def stopped(when: str, at: int) -> Progress:
    """Ctrl-C once so much is done of that."""

    def progress(what: str, done: int, total: int) -> None:
        if what.startswith(when) and done >= at:
            raise KeyboardInterrupt

    return progress


def test_what_was_scored_before_an_interrupt_is_judged_and_what_was_not_measured_is_undecided(
    models: list[Artifact], labelled: Examples, tmp_path: Path
) -> None:
    limits = Limits(max_drop=0.5, min_speedup=0.5, max_size=1.5)
    report = prove(models, labelled, replace(QUICK, by=("label",)), limits=limits, progress=stopped("answers", 30))
    assert report.verdict is not None
    assert [(check.limit, check.outcome) for check in report.verdict.checks] == [
        ("--max-drop 50%", "passed"),
        ("--min-speedup 0.5", "undecided"),
        ("--max-size 1.5", "passed"),
    ]
    assert report.verdict.checks[1].reason == "not compared: it was interrupted before that was measured"
    assert sum(each.examples for each in report.comparisons[0].slices if each.delta.metric == "top1") == 30
    save_report(report, tmp_path / "report.json")
    assert load_report(tmp_path / "report.json").measurements == report.measurements


@pytest.mark.slow
def test_an_interrupt_while_layers_are_compared_keeps_what_was_measured(models: list[Artifact], labelled: Examples) -> None:
    report = prove(models, labelled, QUICK, layers=True, progress=stopped("comparing layers", 0))
    assert was_interrupted(report.measurements)
    assert "latency_median" in {delta.metric for delta in report.comparisons[0].deltas}
    assert (report.layers, report.profiles) == ((), {})


def test_scores_of_some_examples_are_not_held_against_a_baseline_of_all(models: list[Artifact], labelled: Examples, tmp_path: Path) -> None:
    save_report(prove(models, labelled, QUICK), tmp_path / "report.json")
    limits = Limits(max_drop=0.5, max_size=1.5, baseline=str(tmp_path / "report.json"))
    report = prove(models, labelled, QUICK, limits=limits, progress=stopped("answers", 30))
    assert report.verdict is not None
    assert [(check.limit, check.outcome) for check in report.verdict.checks] == [
        ("--max-drop 50%", "undecided"),
        ("--max-size 1.5", "passed"),
    ]
    assert report.comparisons[0].warnings[0].what == "it was interrupted after 30 of 60 examples on cpu, before anything was timed"
