from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper, parser
from pydantic import ValidationError

from optkit.arrays import Array
from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.errors import NothingPaid
from optkit.formats import read_artifact
from optkit.passes import Job
from optkit.passes._device_speed import Speed
from optkit.passes.cast_half import CastHalf
from optkit.stats.interval import Interval

WEIGHT = (np.random.default_rng(0).normal(size=(40, 40)) / 6).astype("f")
X = np.random.default_rng(1).normal(size=(6, 40)).astype("f")
PLAIN = "(float[N,40] x) => (float[N,40] y, int64[N] top) { m = MatMul(x, w) y = Softmax(m) top = ArgMax<axis = 1, keepdims = 0>(y) }"


def saved(folder: Path, graph: str, **weights: Array) -> Artifact:
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 1]> g {graph}')
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    onnx.save(proto, folder / "model.onnx")
    return read_artifact(folder / "model.onnx")


def answers(path: Path, x: Array) -> list[Array]:
    return list(ort.InferenceSession(path).run(None, {"x": x}))


def test_half_the_size_and_the_same_answers(tmp_path: Path) -> None:
    source, target = saved(tmp_path, PLAIN, w=WEIGHT), tmp_path / "half.onnx"
    job = Job(source, Examples("data", {"x": X}))
    CastHalf().run(source, target, job)
    assert target.stat().st_size < 0.6 * source.path.stat().st_size
    for before, after in zip(answers(source.path, X), answers(target, X), strict=True):
        assert before.dtype == after.dtype
        np.testing.assert_allclose(after, before, atol=1e-3)
    assert job.notes["checked on"] == "6 examples"
    assert job.notes["sqnr"]["y"] > 50
    assert job.notes["agreement"] == {"top": 1.0}
    assert job.notes["float16 nodes"] == 1
    assert job.notes["kept in float32"] == {"Softmax": 1}


def test_a_cpu_is_told_that_it_gains_no_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = saved(tmp_path, PLAIN, w=WEIGHT)
    monkeypatch.setattr("optkit.passes._device_speed.device_speed", lambda source, target, job: None)
    for machine, device, told in (("x86_64", "cpu", True), ("x86_64", "cuda", False), ("aarch64", "cpu", False)):
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        job = Job(source, device=device)
        CastHalf().run(source, tmp_path / "half.onnx", job)
        assert ("not faster on this CPU" in job.notes.get("speed", "")) == told


def test_elsewhere_its_speed_is_measured_and_what_is_slower_is_refused_unless_size_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = saved(tmp_path, PLAIN, w=WEIGHT), tmp_path / "half.onnx"
    slow = Speed(Interval(1.4, 1.3, 1.5), None)
    monkeypatch.setattr("optkit.passes._device_speed.device_speed", lambda source, target, job: slow)
    with pytest.raises(NothingPaid, match=r"float16 does not pay on cuda: it takes 1\.40 times as long") as caught:
        CastHalf().run(source, target, Job(source, device="cuda"))
    assert "--accept-size-only" in str(caught.value.hint)
    job = Job(source, device="cuda")
    CastHalf(accept_size_only=True).run(source, target, job)
    assert job.notes["measured_ratio"] == [1.4, 1.3, 1.5]


def test_inputs_and_outputs_on_request(tmp_path: Path) -> None:
    source, target = saved(tmp_path, PLAIN, w=WEIGHT), tmp_path / "half.onnx"
    CastHalf(io="half").run(source, target, Job(source))
    graph = onnx.load(target).graph
    kinds = [port.type.tensor_type.elem_type for port in (*graph.input, *graph.output)]
    assert kinds == [TensorProto.FLOAT16, TensorProto.FLOAT16, TensorProto.INT64]
    np.testing.assert_allclose(answers(target, X.astype(np.float16))[0], answers(source.path, X)[0], atol=1e-3)


def test_operators_stay_float32_on_request(tmp_path: Path) -> None:
    source = saved(tmp_path, "(float[N,40] x) => (float[N,40] y) { m = MatMul(x, w) h = Tanh(m) y = MatMul(h, w) }", w=WEIGHT)
    for keep, kept in (((), None), (("Tanh",), {"Tanh": 1})):
        job = Job(source)
        CastHalf(keep=keep).run(source, tmp_path / "half.onnx", job)
        assert job.notes.get("kept in float32") == kept


@pytest.mark.parametrize(
    ("graph", "weights"),
    [
        ("(float[N,40] x) => (float[N,40] y) { y = ai.onnx.ml.Normalizer(x) }", {}),
        ("(float[N,40] x) => (float[N,40] y) { f = Cast<to = 1>(q) y = MatMul(x, f) }", {"q": np.ones((40, 40), np.int8)}),
    ],
)
def test_nothing_to_cast_is_refused(tmp_path: Path, graph: str, weights: dict[str, Array]) -> None:
    source = saved(tmp_path, graph, **weights)
    with pytest.raises(NothingPaid, match="nothing worth casting"):
        CastHalf().run(source, tmp_path / "half.onnx", Job(source))


def test_ranges_are_read_off_the_examples(tmp_path: Path) -> None:
    """Made-up inputs stay small and show nothing; real ones overflow."""
    graph = "(float[N,40] x) => (float[N,40] y) { m = MatMul(x, w) s = Mul(m, m) t = Mul(s, k) y = MatMul(t, w) }"
    source = saved(tmp_path, graph, w=WEIGHT, k=np.array(1e-6, "f"))
    target = tmp_path / "half.onnx"
    unaware, aware = Job(source), Job(source, Examples("data", {"x": X * 2000}))
    CastHalf().run(source, target, unaware)
    assert "s" not in unaware.notes["out of float16's range"]  # only what the tiny factor leaves
    CastHalf().run(source, target, aware)
    assert "s" in aware.notes["out of float16's range"]
    assert aware.notes["sqnr"]["y"] > 50


def test_answers_that_suffer_are_refused(tmp_path: Path) -> None:
    """A difference of nearly equal numbers keeps nothing of float16's 11 bits."""
    graph = "(float[N,40] x) => (float[N,40] y) { m = MatMul(x, w) a = Add(m, k) b = MatMul(a, i) c = Sub(b, k) y = MatMul(c, w) }"
    source = saved(tmp_path, graph, w=WEIGHT * 1e-3, k=np.full(40, 1000, "f"), i=np.eye(40, dtype="f"))
    with pytest.raises(NothingPaid, match=r"float16 changes the answers too much: output 'y' has -?\d+\.\d dB"):
        CastHalf().run(source, tmp_path / "half.onnx", Job(source, Examples("data", {"x": X})))


def test_a_coarse_first_try_is_mended_by_a_careful_one(tmp_path: Path) -> None:
    """Shares that differ in the last bits only: Softmax and Sub go to float32, the products stay."""
    graph = "(float[N,40] x) => (float[N,40] y) { m = MatMul(x, w) s = Softmax(m) c = Sub(s, k) y = MatMul(c, v) }"
    source = saved(tmp_path, graph, w=WEIGHT * np.float32(0.01), v=WEIGHT, k=np.array(1 / 40, "f"))
    job = Job(source, Examples("data", {"x": X}))
    CastHalf().run(source, tmp_path / "half.onnx", job)
    assert job.notes["kept in float32"] == {"Softmax": 1, "Sub": 1}
    assert job.notes["sqnr"]["y"] > 50


def test_the_same_bytes_each_time(tmp_path: Path) -> None:
    source = saved(tmp_path, PLAIN, w=WEIGHT)
    for name in ("one.onnx", "two.onnx"):
        CastHalf().run(source, tmp_path / name, Job(source))
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


@pytest.mark.parametrize("wrong", [{"io": "float64"}, {"least_sqnr": -1}, {"examples": 0}, {"ratio": 1}])
def test_parameters_have_bounds(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CastHalf(**wrong)


def test_bfloat16_halves_the_file_and_keeps_the_answers(tmp_path: Path) -> None:
    source, target = saved(tmp_path, PLAIN, w=WEIGHT), tmp_path / "bf16.onnx"
    job = Job(source, Examples("data", {"x": X}))
    CastHalf(type="bfloat16").run(source, target, job)
    model = onnx.load(target)
    assert [t.data_type for t in model.graph.initializer] == [TensorProto.BFLOAT16]
    assert target.stat().st_size < 0.6 * source.path.stat().st_size
    for before, after in zip(answers(source.path, X), answers(target, X), strict=True):
        assert before.dtype == after.dtype
        np.testing.assert_allclose(after, before, atol=1e-2)
    assert job.notes["bfloat16 weights"] == 1
    assert 35 < job.notes["sqnr"]["y"] < 70
    assert "no" not in job.notes["checked on"].split()
    assert "become float32 when it loads" in job.notes["speed"]


def test_bfloat16_of_next_to_nothing_is_refused(tmp_path: Path) -> None:
    source = saved(tmp_path, "(float[N,40] x) => (float[N,40] y) { y = Mul(x, k) }", k=np.array(3, "f"))
    with pytest.raises(NothingPaid, match="bfloat16 leaves"):
        CastHalf(type="bfloat16").run(source, tmp_path / "bf16.onnx", Job(source))


def test_bfloat16_that_changes_the_answers_is_refused(tmp_path: Path) -> None:
    source = saved(tmp_path, "(float[N,40] x) => (float[N,40] y) { y = MatMul(x, w) }", w=WEIGHT)
    with pytest.raises(NothingPaid, match="bfloat16 changes the answers too much"):
        CastHalf(type="bfloat16", least_sqnr=90).run(source, tmp_path / "bf16.onnx", Job(source))
