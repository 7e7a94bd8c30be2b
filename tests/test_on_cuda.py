"""Commands from end to end on an NVIDIA GPU."""

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from click.testing import CliRunner

from optkit.cli import main
from optkit.runtimes.onnxruntime import open_onnx
from optkit.runtimes.unavailable import missing_library

CUDA_HERE = "CUDAExecutionProvider" in ort.get_available_providers() and missing_library("CUDAExecutionProvider") is None
pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not CUDA_HERE, reason="onnxruntime-gpu with its CUDA libraries is not installed")]

SAMPLES = Path(__file__).parent.parent / "sample_models"
CNN, TEXT = SAMPLES / "fashion_cnn", SAMPLES / "trec_transformer"


def optkit(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done.stdout


@pytest.fixture
def half(tmp_path: Path) -> Path:
    made = tmp_path / "half.onnx"
    given = ("--data", CNN / "calibration.npz", "--device", "cuda", "--accept-size-only", "--no-cache")
    optkit("quantize", CNN / "model.onnx", "--fp16", *given, "-o", made)
    return made


def test_a_comparison_has_the_devices_time_and_memory(half: Path, tmp_path: Path) -> None:
    data = ("--data", f"{CNN / 'evaluation.npz'}[:500]", "--metric", "top1")
    optkit("compare", CNN / "model.onnx", half, *data, "--device", "cuda", "--time", "2s", "--report", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    deltas = {each["metric"]: each for each in report["comparisons"][0]["deltas"]}
    assert abs(deltas["top1"]["after"] - deltas["top1"]["before"]) < 0.01
    assert 0 < deltas["device_time"]["before"] < deltas["latency_median"]["before"]
    assert deltas["device_memory"]["before"] > 2**20
    assert deltas["fall_back_nodes"]["after"] == 0
    assert report["measurements"][0]["machine"]["gpus"]
    assert {use["provider"] for audit in report["audits"] for use in audit["uses"]} == {"CUDA"}


def test_the_time_of_a_float16_model_is_measured_there(tmp_path: Path) -> None:
    made, given = tmp_path / "half.onnx", ("--data", TEXT / "calibration.npz", "--device", "cuda", "--accept-size-only", "--no-cache")
    told = json.loads(optkit("quantize", TEXT / "model.onnx", "--fp16", *given, "-o", made, "--json", "--quiet"))
    notes = told["lineage"][-1]["notes"]
    assert 0.1 < notes["measured_ratio"][0] < 10
    assert notes["measured_ratio_in_batches"][0] == 32


def test_an_int8_file_answers_there_as_on_the_cpu(tmp_path: Path) -> None:
    made = tmp_path / "int8.onnx"
    optkit("quantize", CNN / "model.onnx", "--int8", "--data", CNN / "calibration.npz", "-o", made, "--no-cache")
    with np.load(CNN / "evaluation.npz") as stored:
        images = stored["image" if "image" in stored.files else stored.files[0]][:200]
    name = open_onnx(made).inputs[0].name
    here, there = (next(iter(open_onnx(made, device).run({name: images}).values())) for device in ("cpu", "cuda"))
    noise = 10 * np.log10((here**2).sum() / ((here - there) ** 2).sum())
    assert noise > 25, "rounding may fall to the other side, and errors of a wrong kernel are far larger"
    assert (here.argmax(1) == there.argmax(1)).mean() > 0.98


def test_nodes_on_the_cpu_break_the_gate(tmp_path: Path) -> None:
    made = tmp_path / "int8.onnx"
    optkit("quantize", CNN / "model.onnx", "--int8", "--data", CNN / "calibration.npz", "-o", made, "--no-cache")
    data = ("--data", f"{CNN / 'evaluation.npz'}[:200]", "--device", "cuda", "--time", "1s")
    assert "nodes run on the CPU and not on cuda" in optkit("gate", CNN / "model.onnx", made, *data, "--max-fallback-nodes", "0", code=1)


def test_a_roofline_is_of_the_device() -> None:
    found = json.loads(optkit("inspect", CNN / "model.onnx", "--roofline", "--device", "cuda", "--json"))
    peaks = found["roofline"]["peaks"]
    assert peaks["float32"] > 1e12, "multiplications a second, of any GPU with CUDA of this decade"
    assert peaks["float16"] >= peaks["float32"] / 2
    assert peaks["bandwidth"] > 5e10
    assert {"FP16", "INT8"} <= {each["change"] for each in found["roofline"]["predictions"]}


def test_the_installation_names_the_gpu() -> None:
    found = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)
    assert found["machine"]["gpus"]
    assert {"word": "cuda", "installed": True, "works": True, "fault": None, "how": None} in found["devices"]
