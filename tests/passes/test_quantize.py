"""The pass `quantize`: how examples are divided, what it notes, what it refuses. Only the stopwatch is replaced."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper, parser

from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.errors import DataError, NothingPaid
from optkit.formats import read_artifact
from optkit.manifest import read_manifest
from optkit.optimize import optimize
from optkit.passes import Job
from optkit.passes._judging import ENOUGH_TO_SPLIT, HELD_OUT, split
from optkit.passes.quantize import Quantize
from optkit.quantization.variants.trial import Bench, Trial
from optkit.stats.interval import Interval

ROWS = np.random.default_rng(5).normal(size=(60, 48)).astype("f")


@pytest.fixture(autouse=True)
def _half_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What computes in integers takes half of the original's time."""

    def time(bench: Bench, trials: Sequence[Trial], seconds: float) -> list[Trial]:
        return [replace(t, ratio=Interval(r, r, r)) for t in trials for r in [0.5 if t.treatment.ways else 1.0]]

    monkeypatch.setattr(Bench, "time", time)
    monkeypatch.setattr("optkit.quantization.choosing.compete.node_times", lambda *_: {})


def source_of(folder: Path, batch: int | str = "N") -> Artifact:
    draw = np.random.default_rng(0)
    graph = f"(float[{batch},48] x) => (float[{batch},48] y) {{ a = Gemm(x, w, b) r = Relu(a) y = Gemm(r, v) }}"
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {graph}')
    for name, shape in {"w": (48, 48), "b": (48,), "v": (48, 48)}.items():
        proto.graph.initializer.append(numpy_helper.from_array((draw.normal(size=shape) / 7).astype("f"), name))
    onnx.save(proto, folder / "model.onnx")
    return read_artifact(folder / "model.onnx")


@pytest.fixture
def source(tmp_path: Path) -> Artifact:
    return source_of(tmp_path)


def notes_of(source: Artifact, examples: Examples | None, **parameters: Any) -> dict[str, Any]:
    job = Job(source, examples)
    Quantize(**{"ranges": "min_max", **parameters}).run(source, source.path.with_name("int8.onnx"), job)
    return job.notes


def rows(count: int = 60, labels: bool = False) -> Examples:
    return Examples("rows.npz", {"x": ROWS[:count]}, np.zeros(count, np.int64) if labels else None)


@pytest.mark.slow
def test_what_it_notes(source: Artifact) -> None:
    notes = notes_of(source, rows())
    assert notes["judged_on"] == "real examples"
    assert notes["calibrated_on"] == 60 - HELD_OUT
    assert notes["operators"] == {"Gemm": {notes["method"].partition(",")[0]: 2}}
    assert notes["measured_ratio"] == [0.5, 0.5, 0.5]
    assert notes["measured_failures"] == {}
    (best,) = [trial for trial in notes["measured_trials"] if trial["method"] == notes["method"]]
    assert best["time"] == notes["measured_ratio"]
    assert best["sqnr"] == notes["measured_sqnr"] > 20
    assert best["size"] == source.path.with_name("int8.onnx").stat().st_size


def test_without_examples_it_says_what_it_judged_on(source: Artifact) -> None:
    notes = notes_of(source, None)
    assert (notes["judged_on"], notes["calibrated_on"], notes["method"]) == ("made-up inputs", 0, "dynamic")
    made_up = notes_of(source, replace(rows(), synthetic=True))
    assert (made_up["judged_on"], made_up["calibrated_on"]) == ("made-up inputs", 0)


def test_many_examples_are_divided_and_few_serve_twice() -> None:
    calibration, judging = split(rows(60), 128)
    assert (len(calibration), len(judging)) == (60 - HELD_OUT, HELD_OUT)
    held = {row.tobytes() for row in judging.arrays["x"]}
    assert not held & {row.tobytes() for row in calibration.arrays["x"]}
    assert len(split(rows(60), 20)[0]) == 20
    few, same = split(rows(ENOUGH_TO_SPLIT - 1), 128)
    assert (len(few), len(same)) == (ENOUGH_TO_SPLIT - 1, HELD_OUT)
    assert [len(part) for part in split(rows(3), 128)] == [3, 3]


@pytest.mark.slow
def test_two_runs_are_byte_identical_and_nothing_measured_is_in_the_file(source: Artifact) -> None:
    made = [
        optimize(source, [Quantize()], target=source.path.with_name(name), examples={"calibration": rows()})
        for name in ("a.onnx", "b.onnx")
    ]
    assert made[0].path.read_bytes() == made[1].path.read_bytes()
    manifest = read_manifest(made[0].path)
    assert manifest is not None
    notes = manifest["steps"][-1]["notes"]
    assert notes["method"] == made[0].lineage[-1].notes["method"]
    assert not [name for name in notes if name.startswith("measured")]


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 4])
def test_a_model_made_for_one_batch_size(tmp_path: Path, batch: int) -> None:
    source = source_of(tmp_path, batch)
    made = optimize(source, [Quantize()], target=tmp_path / "int8.onnx", examples={"calibration": rows()})
    x = ROWS[:batch]
    exact, found = (ort.InferenceSession(path).run(None, {"x": x})[0] for path in (source.path, made.path))
    assert 0 < ((exact - found) ** 2).sum() < 0.01 * (exact**2).sum()


@pytest.mark.slow
def test_a_limit_on_the_drop(source: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    right = replace(rows(), labels=ort.InferenceSession(source.path).run(None, {"x": ROWS})[0].argmax(1))
    notes = notes_of(source, right, max_drop=0.2, min_sqnr=110)
    assert 0 <= notes["measured_drop"] <= 0.2
    monkeypatch.setattr("optkit.passes._drop.drop_against", lambda *_: lambda session: 0.5)
    with pytest.raises(NothingPaid, match=r"loses 50\S* of the original's score, 20\S* is allowed"):
        notes_of(source, right, max_drop=0.2)


@pytest.mark.slow
def test_what_breaks_the_limit_is_kept_under_a_name_that_says_so(source: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    right = replace(rows(), labels=ort.InferenceSession(source.path).run(None, {"x": ROWS})[0].argmax(1))
    monkeypatch.setattr("optkit.passes._drop.drop_against", lambda *_: lambda session: 0.5)
    given: Any = {"target": source.path.with_name("int8.onnx"), "examples": {"calibration": right}}
    with pytest.raises(NothingPaid, match=r"which breaks the limit, is kept as .*int8\.best-effort\.onnx"):
        optimize(source, [Quantize(max_drop=0.2)], **given)
    kept = source.path.with_name("int8.best-effort.onnx")
    assert sorted(f.name for f in source.path.parent.iterdir()) == ["int8.best-effort.onnx", "model.onnx"]
    assert ort.InferenceSession(kept).run(None, {"x": ROWS})[0].shape == (len(ROWS), 48)
    before = kept.read_bytes()
    with pytest.raises(NothingPaid, match=r"was not kept: .* exists already"):
        optimize(source, [Quantize(max_drop=0.3)], **given)
    assert kept.read_bytes() == before


@pytest.mark.parametrize("examples", [None, rows(), replace(rows(labels=True), synthetic=True)])
def test_a_limit_on_the_drop_needs_labels(source: Artifact, examples: Examples | None) -> None:
    with pytest.raises(DataError, match="a limit on the drop needs label"):
        notes_of(source, examples, max_drop=0.01)
    assert not source.path.with_name("int8.onnx").exists()


def test_when_nothing_pays_no_file_is_written(source: Artifact) -> None:
    with pytest.raises(NothingPaid, match="120 are asked for"):
        notes_of(source, rows(), min_sqnr=120)
    assert [file.name for file in source.path.parent.iterdir()] == ["model.onnx"]


def test_without_data_outlier_channels_of_models_that_take_ids_are_smoothed(tmp_path: Path) -> None:
    """Real ids are drawn from a part of the vocabulary that is used more than the rest."""
    draw = np.random.default_rng(0)
    table = draw.normal(size=(300, 48)).astype("f")
    table[:, [3, 30]] *= 60
    graph = "(int64[N,S] ids) => (float[N,S,48] y) { e = Gather(t, ids) y = MatMul(e, w) }"
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {graph}')
    weight = (draw.normal(size=(48, 48)) / 7).astype("f")
    weight[[3, 30]] /= 60
    for name, array in {"t": table, "w": weight}.items():
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    onnx.save(proto, tmp_path / "model.onnx")
    notes = notes_of(read_artifact(tmp_path / "model.onnx"), None)
    assert (notes["method"], notes["judged_on"], notes["calibrated_on"]) == ("dynamic, smoothed", "made-up inputs", 0)
    ids = {"ids": draw.zipf(1.5, (20, 12)).clip(max=300) - 1}
    exact, found = (ort.InferenceSession(tmp_path / name).run(None, ids)[0] for name in ("model.onnx", "int8.onnx"))
    plain = next(each["sqnr"] for each in notes["measured_trials"] if each["method"] == "dynamic")
    assert 10 * np.log10(np.sum(exact**2) / np.sum((found - exact) ** 2)) > plain + 10
