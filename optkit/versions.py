"""The versions of the libraries that a result depends on."""

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
