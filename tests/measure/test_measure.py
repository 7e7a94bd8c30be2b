"""Whole measurements of tiny models."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from optkit.compare import compare_all
from optkit.datasets import Examples
from optkit.errors import DataError, ModelError, UsageError
from optkit.measure import Measurement, Settings, _fresh, measure, scored_of, was_interrupted
from optkit.meters import Fresh
from optkit.records import read_record, write_record
from optkit.runtimes import open_session

QUICK = Settings(seconds=0.05, metrics=(), meters=("latency", "throughput", "size"))


def names(measurement: Measurement) -> list[str]:
    return [samples.metric for samples in measurement.samples]


def values(measurement: Measurement, metric: str) -> tuple[float, ...]:
    return next(samples.values for samples in measurement.samples if samples.metric == metric)


@pytest.fixture(autouse=True)
def _few_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fresh, "FEWEST", 1)


@pytest.mark.slow
def test_everything_is_read_of_every_model(classifier: Any, examples: Examples) -> None:
    models = [classifier("a/model.onnx"), classifier("b/model.onnx", scale=-1.0)]
    found = measure(models, examples, Settings(seconds=0.05))
    assert [each.name for each in found] == ["a/model.onnx", "b/model.onnx"]
    assert [each.model for each in found] == models
    for each in found:
        assert (each.device, each.batch, each.threads) == ("cpu", 1, 1)
        assert each.nodes == {"CPUExecutionProvider": 1}
        metered = ["compressed_size", "cpu_time", "first_inference", "latency", "load_time", "memory", "size", "throughput"]
        assert names(each) == ["top1", "agreement", "cosine", "sqnr", *metered]
        assert read_record(Measurement, write_record(each)) == each
    before, after = found
    assert values(before, "agreement") == (1.0,) * 10
    assert values(after, "cosine") == pytest.approx((-1.0,) * 10)
    assert values(before, "size") == (models[0].path.stat().st_size,)
    rounds = [set(next(s for s in each.samples if s.metric == "latency").groups) for each in found]
    assert rounds[0] == rounds[1] == set(range(len(values(before, "throughput"))))
    assert len(values(before, "memory")) == len(values(after, "memory"))


def test_batches_and_what_is_read_once(classifier: Any, examples: Examples) -> None:
    found = measure([classifier()], examples, replace(QUICK, metrics=("top1",), batches=(4, 1)))
    assert [(each.batch, names(each)) for each in found] == [
        (4, ["top1", "latency", "throughput", "size"]),
        (1, ["latency", "throughput"]),
    ]


@pytest.mark.slow
def test_threads_are_swept_as_batches_are(classifier: Any, examples: Examples) -> None:
    models = [classifier("a.onnx"), classifier("b.onnx")]
    found = measure(models, examples, Settings(metrics=("top1",), threads=(1, 2), seconds=0.05, meters=("latency", "cpu_time")))
    assert [(each.name, each.threads) for each in found] == [("a.onnx", 1), ("b.onnx", 1), ("a.onnx", 2), ("b.onnx", 2)]
    assert [names(each) for each in found] == [["top1", "latency", "cpu_time"]] * 2 + [["latency", "cpu_time"]] * 2
    (comparison,) = compare_all(found)
    timed = [delta.threads for delta in comparison.deltas if delta.metric == "latency_median"]
    assert timed == [1, 2]


def test_throughput_counts_examples_not_batches(classifier: Any, examples: Examples) -> None:
    (found,) = measure([classifier()], examples, replace(QUICK, batches=(8,), meters=("latency", "throughput")))
    # by means: per-example rates would give 1, examples give 8, and no order of slow and fast queries lowers a mean of inverses
    assert np.mean(values(found, "throughput")) * np.mean(values(found, "latency")) > 2


def test_only_what_is_asked_for_is_run(classifier: Any, examples: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    from optkit.measure import _side_by_side

    monkeypatch.setattr(_side_by_side, "time_rounds", None)
    monkeypatch.setattr(_side_by_side, "cold_starts", None)
    (found,) = measure([classifier()], examples, Settings(metrics=(), meters=("size",)))
    assert names(found) == ["size"]


def test_a_model_in_half_precision_takes_the_same_data(classifier: Any, examples: Examples) -> None:
    models = [classifier("model.onnx"), classifier("half.onnx", dtype=TensorProto.FLOAT16)]
    _, half = measure(models, examples, replace(QUICK, metrics=("sqnr",)))
    assert 40 < np.mean(values(half, "sqnr")) < 120


def test_whole_feeds_run_one_by_one(classifier: Any) -> None:
    clips = Examples("clips.npz", {"x": np.ones((3, 1, 4), np.float32)}, np.zeros(3, np.int64), whole=True)
    (found,) = measure([classifier()], clips, replace(QUICK, metrics=("top1",)))
    assert len(values(found, "top1")) == 3
    with pytest.raises(UsageError, match="whole feeds"):
        measure([classifier()], clips, replace(QUICK, batches=(2,)))


def test_a_model_for_one_batch_size_answers_every_example(classifier: Any, examples: Examples) -> None:
    free, fixed = classifier("free.onnx"), classifier("fixed.onnx", batch=4)
    first, second = measure([free, fixed], examples, replace(QUICK, metrics=("top1", "agreement"), batches=(4,)))
    assert values(first, "top1") == values(second, "top1")
    assert values(second, "agreement") == (1.0,) * 10
    with pytest.raises(UsageError, match=r"--batch 1: fixed\.onnx is made for batches of 4"):
        measure([free, fixed], examples, QUICK)


def test_nothing_to_measure(classifier: Any, examples: Examples) -> None:
    with pytest.raises(UsageError, match="no model"):
        measure([], examples)
    with pytest.raises(DataError, match="no examples"):
        measure([classifier()], examples.take(slice(0, 0)))


def test_data_for_another_model(classifier: Any) -> None:
    with pytest.raises(DataError, match="input 'x' wants shape"):
        measure([classifier()], Examples("odd.npz", {"x": np.ones((3, 5), np.float32)}), QUICK)


def test_a_device_that_is_not_there(classifier: Any, examples: Examples) -> None:
    with pytest.raises(UsageError, match="no device is called 'abacus'"):
        measure([classifier()], examples, replace(QUICK, devices=("abacus",)))


def test_an_original_without_answers(classifier: Any, examples: Examples) -> None:
    with pytest.raises(ModelError, match=r"its output 'logits' is NaN"):
        measure([classifier(scale=float("nan"))], examples, QUICK)


@pytest.mark.slow
@pytest.mark.openvino
def test_several_devices(classifier: Any, examples: Examples) -> None:
    found = measure([classifier()], examples, replace(QUICK, metrics=("top1",), devices=("cpu", "openvino")))
    assert [(each.device, dict(each.nodes)) for each in found] == [
        ("cpu", {"CPUExecutionProvider": 1}),
        ("openvino", {"OpenVINOExecutionProvider": 1}),
    ]
    assert names(found[0]) == ["top1", "latency", "throughput", "size"]
    assert names(found[1]) == ["top1", "latency", "throughput"]


@pytest.mark.slow
@pytest.mark.openvino
def test_cold_starts_elsewhere(classifier: Any, examples: Examples) -> None:
    (found,) = measure([classifier()], examples, replace(QUICK, devices=("openvino",), meters=("memory", "load_time")))
    assert names(found) == ["memory", "load_time"]


def test_an_interrupt_ends_the_measuring_with_what_was_measured_by_then(classifier: Any, examples: Examples) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        if what.startswith("timing") and done == 4:
            raise KeyboardInterrupt

    models = [classifier("a.onnx"), classifier("b.onnx")]
    found = measure(models, examples, Settings(metrics=("top1",), batches=(1, 4), seconds=0.05), interrupt)
    assert [each.batch for each in found] == [1, 1]
    assert was_interrupted(found)
    assert all(len(values(each, "throughput")) == 3 for each in found)
    assert "memory" not in names(found[0])
    (compared,) = compare_all(found)
    assert compared.warnings[0].what == "it was interrupted after 3 rounds on cpu at batch 1"


def test_an_interrupt_among_answers_keeps_those_scored(classifier: Any, examples: Examples) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        if what.startswith("answers") and done == 6:
            raise KeyboardInterrupt

    models = [classifier("a.onnx"), classifier("b.onnx", scale=-1.0)]
    found = measure(models, examples, replace(QUICK, metrics=("top1", "cosine")), interrupt)
    whole = measure(models, examples, replace(QUICK, metrics=("top1", "cosine"), meters=("size",)))
    assert was_interrupted(found)
    assert [names(each) for each in found] == [["top1", "cosine", "size"]] * 2
    assert scored_of(found, len(examples)) == 6
    assert [values(each, "top1") for each in found] == [values(each, "top1")[:6] for each in whole]
    (compared,) = compare_all(found)
    assert compared.warnings[0].what == "it was interrupted after 6 of 10 examples on cpu, before anything was timed"
    assert {delta.metric: delta.n for delta in compared.deltas} == {"top1": 3, "cosine": 3, "size": 1}
    assert compared.left_out == {"speed": "it was interrupted before that was measured"}


def test_an_interrupt_before_the_first_answer_is_one(classifier: Any, examples: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("optkit.measure._answers.batches_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure([classifier()], examples, replace(QUICK, metrics=("top1",)))


@pytest.mark.parametrize("what", ["typical_feeds", "time_rounds", "cold_starts", "compressed_size"])
def test_an_interrupt_after_the_answers_keeps_them(what: str, classifier: Any, examples: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"optkit.measure._side_by_side.{what}", interrupted)
    found = measure([classifier("a.onnx"), classifier("b.onnx")], examples, Settings(metrics=("top1",), batches=(1, 4), seconds=0.05))
    timed = ["cpu_time", "latency", "throughput"] if what in ("cold_starts", "compressed_size") else []
    started = ["first_inference", "load_time", "memory"] if what == "compressed_size" else []
    assert was_interrupted(found)
    assert [each.batch for each in found] == [1, 1]
    assert sorted(names(found[0])) == sorted(["top1", "size", *timed, *started])
    assert len(values(found[0], "top1")) == 10
    (compared,) = compare_all(found)
    when = r"after \d+ rounds" if timed else "before the first round of timing"
    assert re.fullmatch(f"it was interrupted {when} on cpu at batch 1", compared.warnings[0].what)
    assert ("speed" in compared.left_out) is not bool(timed)


def test_an_interrupt_on_the_second_device_keeps_the_first(classifier: Any, examples: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(path: Path, device: str = "cpu", threads: int = 1) -> Any:
        if device != "cpu":
            raise KeyboardInterrupt
        return open_session(path, device, threads)

    monkeypatch.setattr("optkit.measure._side_by_side.open_session", opened)
    found = measure([classifier()], examples, replace(QUICK, metrics=("top1",), devices=("cpu", "cuda")))
    assert was_interrupted(found)
    assert [(each.device, names(each)) for each in found] == [("cpu", ["top1", "latency", "throughput", "size"])]


def test_an_interrupt_among_cold_starts_keeps_whole_turns(classifier: Any, examples: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []

    def start(request: object, model: object) -> Fresh:
        started.append(model)
        if len(started) == 6:
            raise KeyboardInterrupt
        return Fresh(0.1, 0.1, 1000)

    monkeypatch.setattr(_fresh, "_start", start)
    monkeypatch.setattr(_fresh, "FEWEST", 6)
    found = measure([classifier("a.onnx"), classifier("b.onnx")], examples, Settings(metrics=("top1",), seconds=0.05))
    assert was_interrupted(found)
    assert [len(values(each, "memory")) for each in found] == [2, 2]
