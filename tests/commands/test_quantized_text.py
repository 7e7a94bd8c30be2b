"""The lines that `optkit quantize` ends with, for results of every kind."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.artifact import Artifact, Made
from optkit.commands import _quantized
from optkit.commands._quantized import quantized_text

NOTES: dict[str, Any] = {
    "method": "static, whole regions",
    "operators": {"Conv": {"static": 12, "float": 1}, "MatMul": {"static, float output": 2}, "Gemm": {"float": 1}},
    "calibrated_on": 128,
    "remarks": [],
    "judged_on": "real examples",
    "measured_ratio": [0.5, 0.48, 0.52],
    "measured_sqnr": 31.25,
    "measured_agreement": 0.9375,
}


@pytest.fixture(autouse=True)
def _sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_quantized, "model_size", lambda path: 4_000_000 if path.name == "model.onnx" else 1_000_000)


def told(path: str = "model.int8.onnx", data: str | None = "data.npz", verbose: bool = False, **notes: Any) -> dict[str, str]:
    """What stands behind each word, in one line; the variants are under `variants`."""
    text = shown(path, data, verbose, **notes)
    lines, _, variants = text.partition("\n\n")
    found: dict[str, str] = {"": lines.splitlines()[0], "variants": variants}
    word = ""
    for line in lines.splitlines()[1:]:
        word = line[2:11].strip() or word
        found[word] = f"{found.get(word, '')} {line[11:].strip()}".strip()
    return found


def shown(path: str = "model.int8.onnx", data: str | None = "data.npz", verbose: bool = False, **notes: Any) -> str:
    held = {name: value for name, value in {**NOTES, **notes}.items() if value is not ...}
    made = Made("quantize", {}, "source", None, {}, 0, held)
    return quantized_text(Artifact(Path(path), "onnx", "digest", (made,)), Path("model.onnx"), data, verbose)


def test_a_faster_and_smaller_model() -> None:
    found = told()
    assert found[""] == "model.int8.onnx"
    assert found["size"] == "4.00 MB → 1.00 MB, 4.00× smaller"
    assert found["time"] == "2.00× as fast (0.48 to 0.52 of the time)"
    assert found["outputs"] == "31.2 dB SQNR of what varies, 93.8% of answers unchanged, on real examples"
    assert found["how"] == (
        "static, whole regions: 12 Conv (static), 2 MatMul (static, float output) compute in INT8; in float32: 1 Conv, 1 Gemm; "
        "other large weights are stored in 8 bits"
    )
    assert found["next"] == "optkit compare model.onnx model.int8.onnx --data EVALUATION.npz"
    assert not {"note", "cpu"} & set(found)


@pytest.mark.parametrize(
    ("ratio", "says"),
    [
        ([0.5, 0.45, 0.55], "2.00× as fast"),
        ([0.96, 0.95, 0.969], "1.04× as fast"),
        ([0.99, 0.97, 1.03], "the same speed"),
        ([1.0, 0.92, 1.08], "the same speed"),
        ([1.0, 0.5, 1.5], "too close to tell"),
        ([0.8, 0.6, 1.0], "too close to tell"),
        ([0.83, 0.71, 0.98], "1.20× as fast"),
        ([1.5, 1.04, 1.9], "1.50× as slow"),
    ],
)
def test_time_is_told_as_surely_as_it_is_known(ratio: list[float], says: str) -> None:
    low, high = ratio[1:]
    assert told(measured_ratio=ratio)["time"].startswith(says)
    assert f"({low:.2f} to {high:.2f}" in told(measured_ratio=ratio)["time"]


def test_what_was_not_measured_is_not_told() -> None:
    assert not {"time", "outputs"} & set(told(measured_ratio=None, measured_sqnr=...))


def test_models_without_answers_have_no_share_of_them() -> None:
    assert told(measured_agreement=None)["outputs"] == "31.2 dB SQNR of what varies, on real examples"


@pytest.mark.parametrize(
    ("drop", "says"), [(0.0123, "; 1.23% of the score lost"), (0.0, "; no loss of score"), (-0.01, "; no loss of score")]
)
def test_a_drop_that_was_limited_is_told(drop: float, says: str) -> None:
    assert told(measured_drop=drop)["outputs"].endswith(f"on real examples{says}")


def test_storage_alone_says_that_nothing_computes_in_integers() -> None:
    found = told(method="8-bit weights, float compute", operators={"Conv": {"float": 3}})
    assert found["how"] == "weights are stored as 8-bit integers; everything computes in float32, as before"
    wide = told(method="8-bit weights, float compute", operators={"Conv": {"float": 3}}, widened=True)
    assert wide["how"] == "weights are stored as 8-bit integers; everything computes in float32"


@pytest.mark.parametrize(("rows", "says"), [(64, "2 of 3 large weights are stored"), (0, "weights are stored")])
def test_storage_of_a_part_says_of_how_many(tmp_path: Path, rows: int, says: str) -> None:
    kinds = [("a", np.int8, 64), ("b", np.int8, 64), ("c", np.float32, rows), ("scales", np.float32, 1)]
    tensors = [numpy_helper.from_array(np.zeros((size, 64), kind), name) for name, kind, size in kinds]
    graph = helper.make_graph([], "weights", [], [helper.make_tensor_value_info("a", TensorProto.INT8, [64, 64])], tensors)
    for name in ("model.onnx", "model.int8.onnx"):
        onnx.save(helper.make_model(graph), tmp_path / name)
    held = {**NOTES, "method": "8-bit weights, float compute", "operators": {"Conv": {"float": 3}}}
    made = Artifact(tmp_path / "model.int8.onnx", "onnx", "digest", (Made("quantize", {}, "source", None, {}, 0, held),))
    assert f"how      {says} as 8-bit integers" in quantized_text(made, tmp_path / "model.onnx", "data.npz")


def test_remarks_and_processors() -> None:
    found = told(remarks=["converted from opset 11 to 13"], safe_on=["x86-64 with VNNI", "arm64"])
    assert found["note"] == "converted from opset 11 to 13"
    assert found["cpu"] == "the same answers on x86-64 with VNNI and arm64"


def test_without_data_it_is_said_what_data_would_do() -> None:
    assert "with --data INT8 can do more" in told(data=None, judged_on="made-up inputs")["note"]
    assert "note" not in told(data="data.npz", judged_on="made-up inputs")


def test_a_path_with_spaces_can_be_pasted_into_a_shell() -> None:
    assert told(path="my models/it's.onnx")["next"] == """optkit compare model.onnx 'my models/it'"'"'s.onnx' --data EVALUATION.npz"""


def test_lines_end_at_80_columns_but_for_the_command() -> None:
    operators = {f"Operator{i}": {"static": 100 + i, "float": 1} for i in range(20)}
    trials = [{"method": "static, " * 20, "time": [1.0, 0.5, 1.5], "size": 1_234_567, "sqnr": -12.3, "agreement": 1.0}]
    text = shown(
        "x" * 30, verbose=True, operators=operators, remarks=["word " * 60], measured_trials=trials, measured_failures={"odd": "why " * 50}
    )
    assert max(len(line) for line in text.splitlines() if not line.startswith("  next")) <= 80


def test_verbose_lists_variants_and_what_failed() -> None:
    trials = [
        {"method": "static", "time": [0.5, 0.48, 0.52], "size": 1_200_000, "sqnr": 31.25, "agreement": 1.0},
        {"method": "dynamic", "time": None, "size": 4_400_000, "sqnr": 5.0, "agreement": None},
    ]
    rows = told(verbose=True, measured_trials=trials, measured_failures={"odd": "it does not load"})["variants"].splitlines()
    assert rows[0].split() == ["variant", "time", "size", "SQNR"]
    assert rows[1].split() == ["static", "0.48", "to", "0.52×", "30.0%", "31.2"]
    assert rows[2].split()[0] == "dynamic"
    assert rows[2].split()[-2:] == ["110.0%", "5.0"]
    assert rows[3] == "  odd: it does not load"
    assert told(measured_trials=trials)["variants"] == ""


def test_long_names_of_variants_keep_the_end_that_tells_them_apart() -> None:
    names = [
        f"static, whole regions, {how}, {count} layers in float"
        for how in ("9 slow layers in float", "scaled channels")
        for count in (10, 40)
    ]
    trials = [{"method": name, "time": [0.5, 0.5, 0.5], "size": 1, "sqnr": 20.0, "agreement": 1.0} for name in names]
    rows = told(verbose=True, measured_trials=trials)["variants"].splitlines()[1:]
    assert len({row.split("…, ")[1] for row in rows}) == len(rows)
    assert rows[-1].startswith("  static …, scaled channels, 40 layers in float")


@pytest.mark.parametrize(
    ("shape", "cost", "said"), [([1, 10], None, True), ([1, 5, 10], 0.0, True), ([1, 5, 10], None, False), ([1, 3, 8, 8], 0.0, False)]
)
def test_answers_are_told_of_scores_and_not_of_maps_or_features(tmp_path: Path, shape: list[int], cost: float | None, said: bool) -> None:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", ports[:1], ports[1:])
    for name in ("model.onnx", "model.int8.onnx"):
        onnx.save(helper.make_model(graph), tmp_path / name)
    held = {**NOTES, "measured_cost": cost}
    made = Artifact(tmp_path / "model.int8.onnx", "onnx", "digest", (Made("quantize", {}, "source", None, {}, 0, held),))
    assert ("answers unchanged" in quantized_text(made, tmp_path / "model.onnx", "data.npz")) == said
