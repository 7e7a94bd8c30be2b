"""The versions of the libraries that a result depends on."""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from optkit import __version__
from optkit.needs import EXTRAS

LIBRARIES = ("numpy", "onnx", "onnx-ir", "onnxruntime", "onnxscript")
"""What every ONNX pass may use."""
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-migraphx", "onnxruntime-qnn")
"""Packages that all install the module `onnxruntime`, one over the other."""
_OTHER_NAMES = {"PIL": ("pillow",), "onnxruntime_ep_openvino": ("onnxruntime-ep-openvino",)}


def versions_for(extras: Sequence[str] = ()) -> dict[str, str]:
    """The version of optkit, of the libraries under it, and of what `extras` add; packages that are not installed are left out."""
    packages = (*LIBRARIES, *(EXTRAS[extra] for extra in extras))
    found = {package: _version(package) for package in packages}
    return {"optkit": __version__, **{package: number for package, number in found.items() if number}}


@cache
def _version(package: str) -> str | None:
    names = RUNTIMES if package == "onnxruntime" else (package, *_OTHER_NAMES.get(package, ()))
    found = [number for name in names if (number := _installed(name))]
    if len(found) > 1 and package == "onnxruntime":  # one lies over the other: only the module knows which
        import onnxruntime

        return str(onnxruntime.__version__)
    return found[0] if found else None


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
