"""The passes equalize_channels, smooth_activations, round_weights and correct_bias, alone and in a chain."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper, parser

from optkit.artifact import Artifact
from optkit.datasets import Examples, read_examples
from optkit.errors import DataError, ModelError, NothingPaid
from optkit.formats import read_artifact
from optkit.formats.onnx import load_model
from optkit.optimize import optimize
from optkit.passes import Job, Pass
from optkit.passes.correct_bias import CorrectBias
from optkit.passes.equalize_channels import EqualizeChannels
from optkit.passes.quantize_dynamic import QuantizeDynamic
from optkit.passes.quantize_static import QuantizeStatic
from optkit.passes.round_weights import RoundWeights
from optkit.passes.smooth_activations import SmoothActivations
from optkit.quantization.fidelity.reference import Reference
from optkit.runtimes import full_feeds, open_session

DRAW = np.random.default_rng(0)
UNEVEN = np.geomspace(0.05, 20, 32).astype("f")


def saved(path: Path, body: str, **weights: np.ndarray) -> Artifact:
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {body}')
    proto.graph.initializer.extend(numpy_helper.from_array(a.astype("f"), n) for n, a in weights.items())
    onnx.save(proto, path)
    return read_artifact(path)


@pytest.fixture
def uneven(tmp_path: Path) -> Artifact:
    """Hidden channels of very different range."""
    first, second = DRAW.normal(size=(16, 32)) * UNEVEN, DRAW.normal(size=(32, 48)) / UNEVEN[:, None]
    body = "(float[N,16] x) => (float[N,48] y) { a = Gemm(x, w, b) r = Relu(a) y = Gemm(r, v, c) }"
    return saved(tmp_path / "model.onnx", body, w=first, b=DRAW.normal(size=32) * UNEVEN, v=second, c=DRAW.normal(size=48))


ROWS = Examples("rows.npz", {"x": np.random.default_rng(3).normal(size=(64, 16)).astype("f")})


def run(path: Path, x: np.ndarray) -> np.ndarray:
    return np.asarray(ort.InferenceSession(path).run(None, {"x": x})[0])


def error(source: Artifact, *steps: Pass, examples: Examples = ROWS) -> float:
    target = source.path.with_name(f"{len(steps)}-{type(steps[0]).__name__}.onnx")
    optimize(source, steps, target=target, examples={"calibration": examples}, force=True)
    wanted = run(source.path, examples.arrays["x"])
    return float(np.square(run(target, examples.arrays["x"]) - wanted).mean() / wanted.var())


@pytest.mark.slow
def test_equalized_channels_answer_the_same_and_quantize_better(uneven: Artifact) -> None:
    assert error(uneven, EqualizeChannels()) < 1e-9
    assert error(uneven, EqualizeChannels(), QuantizeStatic()) < error(uneven, QuantizeStatic()) / 2


@pytest.mark.slow
def test_smoothed_activations_answer_the_same_and_quantize_better(tmp_path: Path) -> None:
    body = "(float[N,64,64] x) => (float[N,64,512] y) { s = Softsign(x) t = Mul(s, k) y = MatMul(t, w) }"
    outliers = np.where(np.arange(64) == 5, 60, 1)
    source = saved(tmp_path / "model.onnx", body, k=outliers, w=DRAW.normal(size=(64, 512)))
    rows = Examples("rows.npz", {"x": np.random.default_rng(4).normal(size=(8, 64, 64)).astype("f")})
    assert error(source, SmoothActivations(), examples=rows) < 1e-9
    assert error(source, SmoothActivations(), QuantizeDynamic(), examples=rows) < error(source, QuantizeDynamic(), examples=rows) / 2


def test_nothing_to_equalize_or_to_smooth(tmp_path: Path) -> None:
    source = saved(tmp_path / "model.onnx", "(float[N,16] x) => (float[N,96] y) { y = Gemm(x, w) }", w=DRAW.normal(size=(16, 96)))
    for step in (EqualizeChannels(), SmoothActivations()):
        with pytest.raises(NothingPaid, match="channels"):
            step.run(source, tmp_path / "made.onnx", Job(source, ROWS))


@pytest.mark.parametrize("step", [EqualizeChannels(), SmoothActivations(), RoundWeights(), CorrectBias()])
def test_they_need_real_examples(uneven: Artifact, step: Pass) -> None:
    with pytest.raises(DataError, match="real examples"):
        step.run(uneven, uneven.path.with_name("made.onnx"), Job(uneven))


@pytest.mark.parametrize("step", [RoundWeights(), CorrectBias()])
def test_they_need_a_float_original(uneven: Artifact, step: Pass) -> None:
    quantized = optimize(uneven, [QuantizeStatic()], target=uneven.path.with_name("int8.onnx"), examples={"calibration": ROWS})
    with pytest.raises(ModelError, match="float ONNX model"):
        step.run(quantized, uneven.path.with_name("made.onnx"), Job(quantized, ROWS))


@pytest.mark.slow
@pytest.mark.parametrize("step", [RoundWeights(), CorrectBias()])
def test_a_spoilt_model_comes_closer(uneven: Artifact, step: Pass) -> None:
    steps = [EqualizeChannels(), QuantizeStatic()]
    quantized = optimize(uneven, steps, target=uneven.path.with_name("int8.onnx"), examples={"calibration": ROWS})
    proto = onnx.load(quantized.path)
    for tensor in proto.graph.initializer:  # every bias is off by a fifth
        if tensor.data_type == onnx.TensorProto.INT32:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) // 5 * 6, tensor.name))
    onnx.save(proto, quantized.path)
    spoilt, target = read_artifact(quantized.path), uneven.path.with_name("better.onnx")
    step.run(spoilt, target, Job(uneven, ROWS))
    x = ROWS.arrays["x"]
    wanted = run(uneven.path, x)
    assert np.square(run(target, x) - wanted).mean() < np.square(run(spoilt.path, x) - wanted).mean() / 2


def test_no_layer_in_integers(uneven: Artifact) -> None:
    with pytest.raises(NothingPaid, match="no layer in integers"):
        RoundWeights().run(uneven, uneven.path.with_name("made.onnx"), Job(uneven, ROWS))


@pytest.mark.slow
def test_a_chain_on_a_real_network(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "sample_models" / "fashion_cnn"
    source = read_artifact(folder / "model.onnx")
    examples = read_examples(str(folder / "calibration.npz"), open_session(source.path, "cpu", 1).inputs).spread(96)
    equalized = optimize(source, [EqualizeChannels(), QuantizeStatic()], target=tmp_path / "2.onnx", examples={"calibration": examples})
    session = open_session(source.path, "cpu", 1)
    feeds = list(full_feeds(session, examples))
    reference = Reference(load_model(source.path), session, feeds)
    held = {equalized.path: reference.compare(open_session(equalized.path, "cpu", 1)).sqnr}
    for step in (RoundWeights(samples=16), CorrectBias(samples=16)):
        job, target = Job(source, examples), tmp_path / f"{step.__class__.__name__}.onnx"
        step.run(equalized, target, job)
        assert job.notes["layers"] == 10
        held[target] = reference.compare(open_session(target, "cpu", 1)).sqnr
        kept = "left as it was" in job.notes  # of this network little but the rounding of activations is left
        assert kept == (held[target] == held[equalized.path])
    assert min(held.values()) > 30


@pytest.mark.slow
def test_a_recipe_goes_on_where_a_step_gained_nothing(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "sample_models" / "fashion_cnn"
    source = read_artifact(folder / "model.onnx")
    examples = read_examples(str(folder / "calibration.npz"), open_session(source.path, "cpu", 1).inputs).spread(64)
    steps = [EqualizeChannels(), QuantizeStatic(), RoundWeights(samples=16), CorrectBias(samples=16)]
    made = optimize(source, steps, target=tmp_path / "made.onnx", examples={"calibration": examples})
    assert [step.by for step in made.lineage] == ["equalize_channels", "quantize_static", "round_weights", "correct_bias"]
