"""From a device's word to one of ONNX Runtime's execution providers.

Three kinds are behind the same door: the CPU, providers built into the installed onnxruntime package (`cuda`, `xnnpack`, …),
and plug-in providers, which come as packages named `onnxruntime-ep-WORD` (`openvino`, …).
"""

import contextlib
import io
import json
import warnings
from dataclasses import dataclass
from typing import Any

import onnxruntime as ort

from optkit.errors import UsageError
from optkit.registry import suggestion
from optkit.runtimes._plugins import PluginDevice, find_plugin_device, plugin_words
from optkit.runtimes.cuda_driver import gpus
from optkit.runtimes.unavailable import how_to_get, missing_library

SUFFIX = "ExecutionProvider"
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

_BUILT_IN = tuple(name for name in ort.get_available_providers() if name != "AzureExecutionProvider")
"""Read once, before plug-ins register and appear in the same list; Azure's is no device but calls a server."""

# providers whose tensors live elsewhere than in main memory → what ONNX Runtime calls that place
_MEMORY = {CUDA: "cuda", "TensorrtExecutionProvider": "cuda", "NvTensorRTRTXExecutionProvider": "cuda", "DmlExecutionProvider": "dml"}


@dataclass(frozen=True)
class Provider:
    """An execution provider that this machine offers, and how to open a model on it."""

    word: str
    """What the user called the device."""
    name: str
    memory: str = "cpu"
    """Where its tensors live, as ONNX Runtime calls it."""
    index: int = 0
    plugin: PluginDevice | None = None
    stream: int = 0
    """Address of the CUDA stream to compute in; 0: one of its own."""

    def open(self, model: str | bytes, options: ort.SessionOptions) -> ort.InferenceSession:
        """Create a session on this provider, with the CPU for nodes that it cannot run.

        Raises UsageError when the provider could not be created: ONNX Runtime by itself would go on with the CPU alone.
        """
        if self.plugin is not None:
            options.add_provider_for_devices([self.plugin.device], _plugin_options(self.plugin.word, options))
            session = ort.InferenceSession(model, options, enable_fallback=0)
        else:
            session = self._open_built_in(model, options)
        if self.name not in session.get_providers():
            raise self._not_working("ONNX Runtime could not start it")
        return session

    def _open_built_in(self, model: str | bytes, options: ort.SessionOptions) -> ort.InferenceSession:
        if self.memory == "cuda" and 0 < len(there := gpus()) <= self.index:
            listed = ", ".join(f"{self.word.partition(':')[0]}:{i} is {name}" for i, name in enumerate(there))
            raise UsageError(f"there is no device {self.word!r}", hint=listed)
        with warnings.catch_warnings():  # it warns of providers that it leaves out; `open` raises instead
            warnings.simplefilter("ignore")
            try:
                return ort.InferenceSession(model, options, providers=self._chain(), enable_fallback=0)
            except Exception:
                if self.name != CPU and missing_library(self.name):
                    raise self._not_working("") from None
                raise

    def _not_working(self, otherwise: str) -> UsageError:
        reason = missing_library(self.name) or otherwise
        return UsageError(f"device {self.word!r} is not working: {reason}", hint=how_to_get(short_name(self.name), installed=True))

    def _chain(self) -> list[Any]:
        if self.name == CPU:
            return [CPU]
        given = {"device_id": str(self.index)} if self.memory != "cpu" else {}
        if self.memory == "cuda" and self.stream:
            given["user_compute_stream"] = str(self.stream)
        # TensorRT leaves nodes to CUDA before it leaves them to the CPU
        beside = [(CUDA, given)] if self.name.startswith(("Tensorrt", "NvTensorRT")) else []
        return [(self.name, given), *beside, CPU]


def find_provider(device: str) -> Provider:
    """The provider that `device` names.

    `cpu`, `cuda`, `cuda:1`, `openvino`, `openvino:gpu`, or any provider's name with or without its suffix.
    Raises UsageError naming what to install when it is not there.
    """
    word, _, which = device.partition(":")
    wanted = short_name(word)
    if wanted == "cpu" and which:
        raise UsageError(f"no device is called {device!r}", hint="the CPU is one device: cpu; --threads says how much of it to use")
    if wanted == "cpu":
        return Provider("cpu", CPU)
    if wanted in plugin_words():
        found = find_plugin_device(wanted, which, device)
        return Provider(device, found.provider, plugin=found)
    for name in _BUILT_IN:
        if short_name(name) == wanted:
            if name == CUDA:
                _load_cuda_libraries()
            return Provider(device, name, _MEMORY.get(name, "cpu"), _index(device, which))
    raise _absent(device, wanted)


def available_words() -> tuple[str, ...]:
    """Every word that names a device here: the CPU first, then built-in providers, then plug-ins."""
    return tuple(dict.fromkeys(["cpu", *map(short_name, _BUILT_IN), *plugin_words()]))


def short_name(name: str) -> str:
    """`CUDAExecutionProvider` → `cuda`."""
    return name.removesuffix(SUFFIX).lower()


def _absent(device: str, wanted: str) -> UsageError:
    here = ", ".join(available_words())
    remedy = how_to_get(wanted, installed=False)
    if remedy is None and wanted not in map(short_name, ort.get_all_providers()):
        return UsageError(f"no device is called {device!r}", hint=suggestion(device, available_words()))
    what = f"device {device!r} is not available; available here: {here}"
    return UsageError(what, hint=remedy or f"install an onnxruntime package that is built with {wanted}")


def _index(device: str, which: str) -> int:
    if which and not which.isdecimal():
        raise UsageError(f"device {device!r}: {which!r} is not a number", hint="write the index of the device, such as cuda:1")
    return int(which or 0)


def _plugin_options(word: str, options: ort.SessionOptions) -> dict[str, str]:
    threads = options.intra_op_num_threads
    if word == "openvino" and threads:  # it has threads of its own, which ONNX Runtime's number does not reach
        return {"load_config": json.dumps({"CPU": {"INFERENCE_NUM_THREADS": str(threads)}})}
    return {}


def _load_cuda_libraries() -> None:
    """Let ONNX Runtime find CUDA and cuDNN where pip put them; it prints what it misses, which our own check says later."""
    if hasattr(ort, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()
