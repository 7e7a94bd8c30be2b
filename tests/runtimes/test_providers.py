"""From a device's word to the provider that really runs."""

import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from optkit.errors import ModelError, UsageError
from optkit.needs import has
from optkit.runtimes import _providers, available_devices
from optkit.runtimes._bound import Bound
from optkit.runtimes._providers import find_provider
from optkit.runtimes.cuda_driver import cuda_version, gpus
from optkit.runtimes.memory import nvidia_memory_used
from optkit.runtimes.onnxruntime import open_onnx
from optkit.runtimes.unavailable import missing_library
from optkit.timing.device_time import device_time, stream_of

Builder = Callable[..., bytes]
X = {"x": np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)}

CUDA_HERE = "CUDAExecutionProvider" in ort.get_available_providers() and missing_library("CUDAExecutionProvider") is None
needs_cuda = pytest.mark.skipif(not CUDA_HERE, reason="onnxruntime-gpu with its CUDA libraries is not installed")
needs_no_cuda = pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="CUDA is here")


@pytest.mark.parametrize("word", ["cpu", "CPU", "CPUExecutionProvider"])
def test_the_cpu_by_any_name(classifier: bytes, word: str) -> None:
    assert open_onnx(classifier, word).placement() == {"CPUExecutionProvider": 4}


def test_the_cpu_is_one_device() -> None:
    with pytest.raises(UsageError, match="no device is called 'cpu:1'"):
        find_provider("cpu:1")


def test_a_device_nobody_knows_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no device is called 'cpi'") as caught:
        find_provider("cpi")
    assert str(caught.value.hint).startswith("did you mean 'cpu'? known: ")


@needs_no_cuda
@pytest.mark.parametrize("word", ["cuda", "cuda:1", "CUDAExecutionProvider"])
def test_an_absent_device_names_what_to_install(classifier: bytes, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_onnx(classifier, word)
    assert caught.value.what == f"device {word!r} is not available; available here: {', '.join(available_devices())}"
    assert "pip install 'onnxruntime-gpu[cuda,cudnn]'" in str(caught.value.hint)


def test_a_provider_of_other_builds_says_so() -> None:
    if "XnnpackExecutionProvider" in ort.get_available_providers():
        pytest.skip("XNNPACK is here")
    with pytest.raises(UsageError, match="device 'XnnpackExecutionProvider' is not available") as caught:
        find_provider("XnnpackExecutionProvider")
    assert "built with xnnpack" in str(caught.value.hint)


@needs_no_cuda
def test_a_provider_that_cannot_start_is_never_replaced_by_the_cpu(classifier: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with onnxruntime-gpu on a machine without CUDA: it lists the provider, and opens sessions on the CPU."""
    monkeypatch.setattr(_providers, "_BUILT_IN", ("CUDAExecutionProvider", "CPUExecutionProvider"))
    with pytest.raises(UsageError, match="device 'cuda' is not working") as caught:
        open_onnx(classifier, "cuda")
    assert "nvidia-smi" in str(caught.value.hint)


@needs_no_cuda
def test_the_missing_library_is_named(classifier: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("whatever the runtime says")

    monkeypatch.setattr(_providers, "_BUILT_IN", ("CUDAExecutionProvider", "CPUExecutionProvider"))
    monkeypatch.setattr(_providers, "missing_library", lambda provider: "libcublas.so: cannot open")
    monkeypatch.setattr(ort, "InferenceSession", fails)
    with pytest.raises(UsageError, match=r"device 'cuda' is not working: libcublas\.so: cannot open"):
        open_onnx(classifier, "cuda")


def test_options_of_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "XnnpackExecutionProvider", "CPUExecutionProvider")
    monkeypatch.setattr(_providers, "_BUILT_IN", names)
    assert find_provider("cuda:1")._chain() == [("CUDAExecutionProvider", {"device_id": "1"}), "CPUExecutionProvider"]
    assert [each[0] for each in find_provider("tensorrt")._chain()[:2]] == ["TensorrtExecutionProvider", "CUDAExecutionProvider"]
    assert find_provider("xnnpack")._chain() == [("XnnpackExecutionProvider", {}), "CPUExecutionProvider"]
    assert (find_provider("cuda").memory, find_provider("xnnpack").memory) == ("cuda", "cpu")
    with pytest.raises(UsageError, match="'first' is not a number"):
        find_provider("cuda:first")


def test_available_devices_begin_with_the_cpu() -> None:
    assert available_devices()[0] == "cpu"
    assert len(set(available_devices())) == len(available_devices())
    assert "azure" not in available_devices()
    assert ("openvino" in available_devices()) == has("openvino")


@pytest.mark.openvino
class TestOpenVino:
    @pytest.mark.parametrize("word", ["openvino", "openvino:cpu", "openvino:0", "OpenVINOExecutionProvider"])
    def test_it_runs_there_and_answers_alike(self, classifier: bytes, word: str) -> None:
        session = open_onnx(classifier, word)
        assert session.placement() == {"OpenVINOExecutionProvider": 4}
        for name, array in open_onnx(classifier).run(X).items():
            # it may compute in bfloat16, which has three digits
            np.testing.assert_allclose(session.run(X)[name], array, atol=0.05)

    def test_bound_answers_are_those_of_a_run(self, classifier: bytes) -> None:
        session = open_onnx(classifier, "openvino")
        bound = session.bind(X)
        assert isinstance(bound, Bound)
        bound()
        for name, array in session.run(X).items():
            np.testing.assert_array_equal(bound.answers()[name], array)

    def test_nodes_that_fall_back_are_counted(self, build: Builder) -> None:
        nodes = [
            helper.make_node("MatMul", ["x", "w"], ["a"]),
            helper.make_node("Binarizer", ["a"], ["b"], domain="ai.onnx.ml", threshold=0.1),
            helper.make_node("MatMul", ["b", "w"], ["y"]),
        ]
        ports = [("x", TensorProto.FLOAT, ["n", 4])], [("y", TensorProto.FLOAT, ["n", 4])]
        session = open_onnx(build(nodes, *ports, {"w": np.eye(4, dtype=np.float32)}, ai_onnx_ml=3), "openvino")
        assert session.placement() == {"OpenVINOExecutionProvider": 2, "CPUExecutionProvider": 1}

    def test_hardware_that_it_does_not_find(self, classifier: bytes) -> None:
        with pytest.raises(UsageError, match="no device is called 'openvino:99'") as caught:
            open_onnx(classifier, "openvino:99")
        assert "openvino, openvino:cpu" in str(caught.value.hint)

    def test_a_model_that_it_cannot_convert(self, build: Builder) -> None:
        nodes = [
            helper.make_node("Normalizer", ["x"], ["a"], domain="ai.onnx.ml", norm="L2"),
            helper.make_node("MatMul", ["a", "w"], ["y"]),
        ]
        ports = [("x", TensorProto.FLOAT, ["n", 4])], [("y", TensorProto.FLOAT, None)]
        model = build(nodes, *ports, {"w": np.eye(4, dtype=np.float32)}, ai_onnx_ml=3)
        with pytest.raises(ModelError, match="cannot load it on openvino") as caught:
            open_onnx(model, "openvino")
        assert "\n" not in caught.value.what


def timed(model: Path, feed: dict[str, Any]) -> float | None:
    with stream_of(0) as stream:
        return None if stream is None else device_time(open_onnx(model, "cuda", stream=stream.address), stream, feed)


@pytest.mark.cuda
@needs_cuda
class TestCuda:
    def test_it_runs_there_and_answers_alike(self, classifier: bytes) -> None:
        session = open_onnx(classifier, "cuda")
        assert session.placement().get("CUDAExecutionProvider", 0) == 4
        for name, array in open_onnx(classifier).run(X).items():
            np.testing.assert_allclose(session.run(X)[name], array, rtol=1e-2, atol=1e-2)

    def test_inputs_and_outputs_stay_on_the_device(self, classifier: bytes) -> None:
        session = open_onnx(classifier, "cuda")
        bound = session.bind(X)
        assert isinstance(bound, Bound)
        bound()
        assert {value.device_name() for value in bound._binding.get_outputs()} == {"cuda"}
        for name, array in session.run(X).items():
            np.testing.assert_allclose(bound.answers()[name], array, rtol=1e-5, atol=1e-6)

    def test_a_device_that_is_not_there(self, classifier: bytes) -> None:
        with pytest.raises(UsageError, match="there is no device 'cuda:99'") as caught:
            open_onnx(classifier, "cuda:99")
        assert "cuda:0 is " in str(caught.value.hint)

    def test_the_device_says_how_long_it_computed(self, classifier: bytes, tmp_path: Path) -> None:
        (tmp_path / "model.onnx").write_bytes(classifier)
        found = timed(tmp_path / "model.onnx", X)
        assert found is not None
        assert 0 < found < 1

    def test_devices_have_names(self) -> None:
        assert all(gpus())
        assert re.fullmatch(r"\d+\.\d+", cuda_version() or "")

    def test_time_of_the_device_is_without_that_of_starting_its_work(self, build: Builder, tmp_path: Path) -> None:
        """Small kernels one after the other: what starts them takes longer than they do."""
        nodes = [helper.make_node("MatMul", [f"a{i}" if i else "x", "w"], [f"a{i + 1}" if i < 199 else "y"]) for i in range(200)]
        ports = [("x", TensorProto.FLOAT, [1, 64])], [("y", TensorProto.FLOAT, [1, 64])]
        (tmp_path / "model.onnx").write_bytes(build(nodes, *ports, {"w": np.eye(64, dtype=np.float32)}))
        feed = {"x": np.ones((1, 64), np.float32)}
        bound = open_onnx(tmp_path / "model.onnx", "cuda").bind(feed)
        taken = []
        for _ in range(50):
            start = time.perf_counter()
            bound()
            taken.append(time.perf_counter() - start)
        found = timed(tmp_path / "model.onnx", feed)
        assert found is not None
        assert 200 * 1e-7 < found < statistics.median(taken)

    def test_work_that_waits_for_the_cpu_is_timed_too(self, build: Builder, tmp_path: Path) -> None:
        nodes = [
            helper.make_node("MatMul", ["x", "w"], ["a"]),
            helper.make_node("Binarizer", ["a"], ["b"], domain="ai.onnx.ml", threshold=0.1),
            helper.make_node("MatMul", ["b", "w"], ["y"]),
        ]
        ports = [("x", TensorProto.FLOAT, ["n", 4])], [("y", TensorProto.FLOAT, ["n", 4])]
        (tmp_path / "model.onnx").write_bytes(build(nodes, *ports, {"w": np.eye(4, dtype=np.float32)}, ai_onnx_ml=3))
        assert open_onnx(tmp_path / "model.onnx", "cuda").placement().get("CPUExecutionProvider") == 1
        found = timed(tmp_path / "model.onnx", X)
        assert found is not None
        assert 0 < found < 0.1

    def test_memory_of_the_device_is_read(self, classifier: bytes) -> None:
        used = nvidia_memory_used(0)
        assert used is not None
        held = open_onnx(classifier, "cuda")
        held.run(X)
        assert 0 < used < 2**50
