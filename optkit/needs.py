"""Optional libraries: imported when needed, with the exact command that installs one that is missing."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from optkit.errors import MissingLibrary

# extra → the module whose presence shows that it is installed
EXTRAS = {
    "torch": "torch",
    "llm": "neural_compressor",
    "openvino": "onnxruntime_ep_openvino",
    "loadgen": "mlperf_loadgen",
    "images": "PIL",
    "text": "tokenizers",
}


def has(extra: str) -> bool:
    """Whether an extra is installed; imports nothing."""
    return find_spec(EXTRAS[extra]) is not None


def need(extra: str, wanted_by: str) -> ModuleType:
    """Import the library of `extra`, or raise MissingLibrary naming who wants it and how to install it."""
    if not has(extra):
        raise MissingLibrary(f"{wanted_by} needs {EXTRAS[extra]}, which is not installed", hint=f"pip install 'optkit[{extra}]'")
    return import_module(EXTRAS[extra])
