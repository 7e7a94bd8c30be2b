"""`optkit quantize` as users call it; only the stopwatch is replaced."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from click.testing import CliRunner, Result
from onnx import numpy_helper, parser

from optkit.cli import main
from optkit.quantization.variants.trial import Bench, Trial
from optkit.stats.interval import Interval

Quantize = Callable[..., Result]
DENSE = "(float[N,64] x) => (float[N,5] y) { h = Gemm(x, w, b) r = Relu(h) y = Gemm(r, v) }"
LABELS_FIRST = """(float[N,64] x) => (int64[N] label, float[N,5] chances) {
    h = Gemm(x, w, b) r = Relu(h) g = Gemm(r, v) chances = Softmax(g) label = ArgMax<axis=1, keepdims=0>(chances) }"""
STATEFUL = """(float[1,64] x, float[1,256] state, int64 rate) => (float[1,5] y, float[1,256] next) {
    h = MatMul(x, w) s = Add(h, state) next = Tanh(s) k = Cast<to=1>(rate) t = Mul(next, k) y = MatMul(t, v) }"""


def write(path: Path, graph: str = DENSE) -> None:
    draw = np.random.default_rng(0)
    weights = {"w": draw.normal(size=(64, 256)) / 8, "b": draw.normal(size=256), "v": draw.normal(size=(256, 5)) / 16}
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {graph}')
    read = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(numpy_helper.from_array(a.astype(np.float32), n) for n, a in weights.items() if n in read)
    onnx.save(proto, path)


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and calibration data; integers take half the time there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPTKIT_CACHE", str(tmp_path.parent / f"{tmp_path.name}-cache"))
    write(tmp_path / "model.onnx")
    draw = np.random.default_rng(1)
    np.savez(tmp_path / "data.npz", x=draw.normal(size=(40, 64)).astype(np.float32), labels=draw.integers(0, 5, 40))
    take(monkeypatch, 0.5)
    return tmp_path


def take(monkeypatch: pytest.MonkeyPatch, ratio: float) -> None:
    """Whatever computes in integers takes `ratio` of the original's time, whatever does not the same."""

    def time(bench: Bench, trials: Sequence[Trial], seconds: float) -> list[Trial]:
        return [replace(t, ratio=Interval(r, r - 0.01, r + 0.01)) for t in trials for r in [ratio if t.treatment.ways else max(1.0, ratio)]]

    monkeypatch.setattr(Bench, "time", time)
    monkeypatch.setattr("optkit.quantization.choosing.compete.node_times", lambda *_: {})


@pytest.fixture
def quantize(room: Path) -> Quantize:
    """`quantize("model.onnx", …)`; ranges that are quick to find, where nothing else is asked for."""

    def run(*line: Any) -> Result:
        quick = ["--ranges", "min_max"] if "--int8" in line else []
        return CliRunner().invoke(main, ["quantize", *quick, *map(str, line)], prog_name="optkit")

    return run


def names(room: Path) -> set[str]:
    return {file.name for file in room.iterdir()}


def refused(ended: Result, code: int = 2) -> tuple[str, str]:
    assert ended.exit_code == code, ended.output
    assert ended.stdout == ""
    what, _, hint = ended.stderr.rstrip("\n").partition("\n")
    assert hint.startswith("hint: "), ended.stderr
    assert "\n" not in hint, ended.stderr
    return what, hint.removeprefix("hint: ")


def answers(path: Path, **feed: Any) -> list[Any]:
    return list(ort.InferenceSession(path).run(None, {name: np.asarray(value) for name, value in feed.items()}))


@pytest.mark.slow
def test_the_result_lies_beside_the_model_and_answers_like_it(quantize: Quantize, room: Path) -> None:
    before = (room / "model.onnx").read_bytes()
    shown = quantize("model.onnx", "--int8", "--data", "data.npz")
    assert shown.exit_code == 0, shown.output
    assert names(room) == {"model.onnx", "data.npz", "model.int8.onnx"}
    assert (room / "model.onnx").read_bytes() == before
    assert (room / "model.int8.onnx").stat().st_size < 0.4 * len(before)
    x = np.random.default_rng(5).normal(size=(50, 64)).astype(np.float32)
    exact, found = answers(room / "model.onnx", x=x)[0], answers(room / "model.int8.onnx", x=x)[0]
    assert ((exact - found) ** 2).sum() < 0.01 * (exact**2).sum()
    onnx.checker.check_model(onnx.load(room / "model.int8.onnx"), full_check=True)


def test_what_was_done_in_words(quantize: Quantize) -> None:
    lines = quantize("model.onnx", "--int8", "--data", "data.npz").stdout.splitlines()
    assert lines[0] == "model.int8.onnx"
    told = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[1:] if line[2:3] != " "}
    assert set(told) == {"size", "time", "outputs", "how", "cpu", "next"}
    assert told["size"].endswith("× smaller")
    assert told["time"] == "2.00× as fast (0.49 to 0.51 of the time)"
    assert "of answers unchanged (" in told["outputs"]
    assert told["next"].startswith("optkit compare model.onnx model.int8.onnx --data ")


def test_another_place(quantize: Quantize, room: Path) -> None:
    (room / "out").mkdir()
    assert quantize("model.onnx", "--int8", "-o", "out/small.onnx").exit_code == 0
    assert names(room / "out") == {"small.onnx"}
    assert names(room) == {"model.onnx", "data.npz", "out"}


def test_an_existing_file_is_replaced_only_with_force(quantize: Quantize, room: Path) -> None:
    (room / "model.int8.onnx").write_bytes(b"mine")
    assert refused(quantize("model.onnx", "--int8")) == (
        "model.int8.onnx: the file exists already",
        "replace it with --force, or name another with -o",
    )
    assert (room / "model.int8.onnx").read_bytes() == b"mine"
    assert quantize("model.onnx", "--int8", "--force").exit_code == 0
    assert onnx.load(room / "model.int8.onnx").graph.node


def test_the_output_is_never_the_model_that_is_read(quantize: Quantize, room: Path) -> None:
    before = (room / "model.onnx").read_bytes()
    what, _ = refused(quantize("model.onnx", "--int8", "-o", "model.onnx", "--force"))
    assert what == "model.onnx: the output is the model that is read"
    assert (room / "model.onnx").read_bytes() == before


def test_a_precision_must_be_named(quantize: Quantize, room: Path) -> None:
    assert refused(quantize("model.onnx")) == ("optkit quantize: which precision?", "add --int8, --int4, --fp16 or --bf16")
    assert names(room) == {"model.onnx", "data.npz"}


def test_four_bits_have_a_name_of_their_own(quantize: Quantize, room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "optkit.quantization.choosing_blocks.trial.race", lambda models, *_, **__: [Interval(1.0, 0.99, 1.01) for _ in models]
    )
    shown = quantize("model.onnx", "--int4", "--data", "data.npz", "--min-sqnr", 10, "--group-size", 64, "--symmetric")
    assert shown.exit_code == 0, shown.output
    assert (room / "model.int4.onnx").stat().st_size < 0.25 * (room / "model.onnx").stat().st_size
    said = " ".join(shown.stdout.split())
    assert "the same speed (0.99 to 1.01 of the time)" in said
    assert "4-bit weights in groups of 64, symmetric, by" in said
    assert "for size and memory" in said


def test_bfloat16_has_a_name_of_its_own(quantize: Quantize, room: Path) -> None:
    shown = quantize("model.onnx", "--bf16", "--data", "data.npz")
    assert shown.exit_code == 0, shown.output
    assert (room / "model.bf16.onnx").stat().st_size < 0.6 * (room / "model.onnx").stat().st_size
    assert "smaller in the file only" in " ".join(shown.stdout.split())


@pytest.mark.parametrize(
    ("line", "option", "fits"),
    [
        (("--int4", "--method", "static"), "--method", "--int8"),
        (("--bf16", "--effort", "high"), "--effort", "--int8"),
        (("--int8", "--group-size", "64"), "--group-size", "--int4"),
        (("--fp16", "--algorithm", "hqq"), "--algorithm", "--int4"),
        (("--bf16", "--io", "fp16"), "--io", "--fp16"),
    ],
)
def test_an_option_without_meaning_is_refused(quantize: Quantize, line: tuple[str, ...], option: str, fits: str) -> None:
    what, hint = refused(quantize("model.onnx", *line))
    assert what == f"optkit quantize: {option} has no meaning with {line[0]}"
    assert hint == f"it goes with {fits}"


def test_half_precision_has_a_name_of_its_own(quantize: Quantize, room: Path) -> None:
    assert quantize("model.onnx", "--fp16").exit_code == 0
    assert names(room) == {"model.onnx", "data.npz", "model.fp16.onnx"}


@pytest.mark.parametrize("data", [(), ("--data", "data.npz")])
def test_half_precision_at_the_ports_too(quantize: Quantize, room: Path, data: tuple[str, ...]) -> None:
    assert quantize("model.onnx", "--fp16", "--io", "fp16", *data).exit_code == 0
    (port,) = onnx.load(room / "model.fp16.onnx").graph.input
    assert port.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16


@pytest.mark.slow
def test_when_nothing_pays_nothing_is_left(quantize: Quantize, room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(monkeypatch, 1.4)
    what, hint = refused(quantize("model.onnx", "--int8"), code=1)
    assert what.startswith("model.onnx: INT8 does not pay here: the best variant (")
    assert what.endswith(") takes 1.40× the time of the original")
    assert hint.startswith("--accept-size-only takes it knowingly")
    assert names(room) == {"model.onnx", "data.npz"}
    assert quantize("model.onnx", "--int8", "--accept-size-only").exit_code == 0
    assert names(room) == {"model.onnx", "data.npz", "model.int8.onnx"}


def test_when_it_loses_too_much_nothing_is_left(quantize: Quantize, room: Path) -> None:
    what, hint = refused(quantize("model.onnx", "--int8", "--min-sqnr", "110"), code=1)
    assert what.endswith(" dB, 110 are asked for")
    assert "--min-sqnr" in hint
    assert names(room) == {"model.onnx", "data.npz"}


def test_json_is_the_artifact_with_its_lineage(quantize: Quantize) -> None:
    shown = quantize("model.onnx", "--int8", "--data", "data.npz", "--json")
    found = json.loads(shown.stdout)
    assert found["path"].endswith("model.int8.onnx")
    assert len(found["digest"]) == 64
    (made,) = found["lineage"]
    assert made["by"] == "quantize"
    assert made["parameters"]["method"] == "auto"
    assert made["notes"]["measured_ratio"] == [0.5, 0.49, 0.51]
    assert made["notes"]["calibrated_on"] == 40
    assert made["notes"]["operators"]["Gemm"]
    assert shown.stderr == ""


@pytest.mark.parametrize("more", [[], ["--verbose"]])
def test_it_fits_80_columns(quantize: Quantize, more: list[str]) -> None:
    shown = quantize("model.onnx", "--int8", *more)
    lines = [line for line in shown.stdout.splitlines() if not line.startswith("  next")]
    assert max(map(len, lines)) <= 80
    assert ("variant" in shown.stdout) == bool(more)


def test_verbose_shows_every_variant(quantize: Quantize) -> None:
    shown = quantize("model.onnx", "--int8", "--data", "data.npz", "-v").stdout
    for variant in ("static", "dynamic", "8-bit weights, float compute"):  # no channel is an outlier, so nothing is smoothed
        time = "0.99 to 1.01×" if "float compute" in variant else "0.49 to 0.51×"
        assert any(line.startswith(f"  {variant} ") and time in line for line in shown.splitlines())


def test_quiet_says_nothing(quantize: Quantize, room: Path) -> None:
    shown = quantize("model.onnx", "--int8", "--quiet")
    assert (shown.exit_code, shown.output) == (0, "")
    assert "model.int8.onnx" in names(room)


def test_without_data_it_says_what_data_would_do(quantize: Quantize) -> None:
    shown = " ".join(quantize("model.onnx", "--int8").stdout.split())
    assert "on made-up inputs" in shown
    assert "note convolutions and static matrix products need examples: with --data INT8 can do more" in shown


def test_static_needs_data(quantize: Quantize, room: Path) -> None:
    assert refused(quantize("model.onnx", "--int8", "--method", "static")) == (
        "model.onnx: static INT8 needs examples to find activation ranges",
        "pass --data examples.npz: one array for each model input",
    )
    assert names(room) == {"model.onnx", "data.npz"}


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"z": np.zeros((4, 64), np.float32)}, "input 'x' (float32 [N, 64]) has no array"),
        ({"x": np.zeros((4, 63), np.float32)}, "input 'x' wants float32 [N, 64], the data has float32 [4, 63]"),
        ({"x": np.zeros((4, 64), np.float32), "labels": np.zeros(3)}, "array 'x' has 4 examples, 'labels' has 3"),
        ({"x": np.zeros((0, 64), np.float32)}, "it holds no examples"),
    ],
)
def test_wrong_data(quantize: Quantize, room: Path, arrays: dict[str, Any], says: str) -> None:
    np.savez(room / "wrong.npz", **arrays)
    what, _ = refused(quantize("model.onnx", "--int8", "--data", "wrong.npz"))
    assert says in what
    assert names(room) == {"model.onnx", "data.npz", "wrong.npz"}


def test_data_that_is_not_there(quantize: Quantize) -> None:
    what, _ = refused(quantize("model.onnx", "--int8", "--data", "dat.npz"))
    assert what.startswith("dat.npz: ")


def test_data_with_values_that_are_not_finite(quantize: Quantize, room: Path) -> None:
    np.savez(room / "odd.npz", x=np.full((40, 64), np.nan, np.float32))
    what, hint = refused(quantize("model.onnx", "--int8", "--data", "odd.npz"))
    assert what == "model.onnx: its output 'y' holds NaN on these examples"
    assert "check" in hint


@pytest.mark.slow
def test_several_outputs_with_labels_first(quantize: Quantize, room: Path) -> None:
    write(room / "model.onnx", LABELS_FIRST)
    shown = quantize("model.onnx", "--int8", "--data", "data.npz")
    assert shown.exit_code == 0, shown.output
    x = np.random.default_rng(5).normal(size=(50, 64)).astype(np.float32)
    before, after = answers(room / "model.onnx", x=x), answers(room / "model.int8.onnx", x=x)
    assert [(a.dtype, a.shape) for a in after] == [(np.int64, (50,)), (np.float32, (50, 5))]
    np.testing.assert_array_equal(after[0], after[1].argmax(1))
    assert np.mean(before[0] == after[0]) > 0.9


def test_examples_that_are_whole_feeds(quantize: Quantize, room: Path) -> None:
    write(room / "model.onnx", STATEFUL)
    draw = np.random.default_rng(2)
    whole: dict[str, Any] = {
        "x": draw.normal(size=(30, 1, 64)).astype(np.float32),
        "state": draw.normal(size=(30, 1, 256)).astype(np.float32),
        "rate": draw.integers(1, 3, 30),
    }
    np.savez(room / "whole.npz", **whole)
    shown = quantize("model.onnx", "--int8", "--data", "whole.npz")
    assert shown.exit_code == 0, shown.output
    feed = {name: array[3] for name, array in whole.items()}
    before, after = answers(room / "model.onnx", **feed), answers(room / "model.int8.onnx", **feed)
    for exact, found in zip(before, after, strict=True):
        assert exact.shape == found.shape
        assert 0 < ((exact - found) ** 2).sum() < 0.01 * (exact**2).sum()


def test_excluded_layers_stay_float(quantize: Quantize) -> None:
    shown = " ".join(quantize("model.onnx", "--int8", "--data", "data.npz", "--exclude", "Gemm").stdout.split())
    assert "how weights are stored as 8-bit integers; everything computes in float32, as before" in shown


def test_a_limit_on_the_drop_decides_in_place_of_noise(quantize: Quantize, room: Path) -> None:
    x = np.load(room / "data.npz")["x"]
    np.savez(room / "right.npz", x=x, labels=answers(room / "model.onnx", x=x)[0].argmax(1))
    shown = quantize("model.onnx", "--int8", "--data", "right.npz", "--method", "dynamic", "--max-drop", "20%", "--min-sqnr", "110")
    assert shown.exit_code == 0, shown.output
    assert "the score" in " ".join(shown.stdout.split()) or "loss of score" in " ".join(shown.stdout.split())
    what, _ = refused(quantize("model.onnx", "--int8", "--force", "--max-drop", "20%"))
    assert what == "model.onnx: a limit on the drop needs labelled examples"


def test_a_model_that_is_quantized_already_is_told_so(quantize: Quantize, room: Path) -> None:
    assert quantize("model.onnx", "--int8").exit_code == 0
    what, _ = refused(quantize("model.int8.onnx", "--int8"), code=1)
    assert what.startswith("model.int8.onnx: it is quantized already: it has ")
    assert "model.int8.int8.onnx" not in names(room)


def test_a_second_run_takes_the_result_from_the_cache(quantize: Quantize, room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert quantize("model.onnx", "--int8", "-o", "first.onnx").exit_code == 0
    take(monkeypatch, 5.0)
    assert quantize("model.onnx", "--int8", "-o", "second.onnx").exit_code == 0
    assert (room / "first.onnx").read_bytes() == (room / "second.onnx").read_bytes()
    refused(quantize("model.onnx", "--int8", "-o", "third.onnx", "--no-cache"), code=1)
