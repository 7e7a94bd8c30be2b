"""What a result depends on besides the input: versions of libraries, and the processor."""

import platform
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from optkit import __version__
from optkit.needs import EXTRAS

LIBRARIES = ("numpy", "onnx", "onnx-ir", "onnxruntime", "onnxscript")
"""What every ONNX pass may use."""
_OTHER_NAMES = {"onnxruntime": ("onnxruntime-gpu",), "PIL": ("pillow",), "onnxruntime_ep_openvino": ("onnxruntime-ep-openvino",)}


def versions_for(extras: Sequence[str] = ()) -> dict[str, str]:
    """The version of optkit, of the libraries under it, and of what `extras` add; packages that are not installed are left out."""
    packages = (*LIBRARIES, *(EXTRAS[extra] for extra in extras))
    found = {package: _version(package) for package in packages}
    return {"optkit": __version__, **{package: number for package, number in found.items() if number}}


@cache
def _version(package: str) -> str | None:
    for name in (package, *_OTHER_NAMES.get(package, ())):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


@cache
def processor_mark() -> str:
    """What tells one kind of processor from another: passes that measure choose by it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            wanted = ("model name", "flags", "CPU part", "Features")
            return "\n".join(sorted({line.strip() for line in lines if line.startswith(wanted)}))
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
