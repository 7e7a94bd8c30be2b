"""Why a device is not there, and what to install."""

import ctypes
from pathlib import Path

import onnxruntime as ort

GPU_PACKAGE = "'onnxruntime-gpu[cuda,cudnn]'"
"""With CUDA's and cuDNN's libraries, for pip in a shell."""
_CUDA = f"pip uninstall -y onnxruntime, then pip install {GPU_PACKAGE}"
_PLUGIN = "pip install onnxruntime-ep-{}"
_PACKAGES = {
    "cuda": _CUDA,
    "tensorrt": "pip install tensorrt, of the version that onnxruntime-gpu asks for",
    "nvtensorrtrtx": _PLUGIN.format("nv-tensorrt-rtx"),
    "openvino": "pip install 'optkit[openvino]'",
    "webgpu": _PLUGIN.format("webgpu"),
    "dml": "on Windows: pip uninstall onnxruntime, then pip install onnxruntime-directml",
    "qnn": "pip install onnxruntime-qnn",
    "migraphx": "pip uninstall onnxruntime, then pip install onnxruntime-migraphx",
    "cann": "pip uninstall onnxruntime, then pip install onnxruntime-cann",
    "coreml": "it comes with onnxruntime on macOS only",
    "gpu": f"for an NVIDIA GPU the device is cuda: {_CUDA}",
}


def how_to_get(word: str, *, installed: bool) -> str | None:
    """What to install for a device; None where no package is known."""
    if installed and word in ("cuda", "tensorrt"):
        return f"check the driver with nvidia-smi, then pip install {GPU_PACKAGE}"
    return _PACKAGES.get(word)


def missing_library(provider: str) -> str | None:
    """The reason that ONNX Runtime only logs: which shared library a built-in provider misses; None where that is not it."""
    stem = f"onnxruntime_providers_{provider.removesuffix('ExecutionProvider').lower()}"
    for library in sorted((Path(ort.__file__).parent / "capi").glob(f"*{stem}*")):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            return str(error).splitlines()[0]
    return None
