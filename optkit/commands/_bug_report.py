"""The file that a bug leaves behind: what was asked, of which versions, and the whole traceback."""

import platform
import shlex
import sys
import tempfile
import traceback
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("optkit", "click", "numpy", "onnx", "onnx-ir", "onnxruntime", "onnxscript", "pydantic", "rich", "ruamel.yaml", "scipy", "torch")


def write_bug_report(error: BaseException) -> str:
    """Write the report into the temporary folder and return its path. Raises OSError when that is impossible."""
    with tempfile.NamedTemporaryFile("w", prefix="optkit-bug-", suffix=".txt", delete=False, encoding="utf-8") as file:
        file.write(f"command: {shlex.join(sys.argv)}\n")
        file.write(f"python: {platform.python_version()} on {platform.platform()} ({platform.machine()})\n")
        file.writelines(f"{name}: {_version(name)}\n" for name in PACKAGES)
        file.write("\n")
        file.writelines(traceback.format_exception(error))
        return file.name


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
