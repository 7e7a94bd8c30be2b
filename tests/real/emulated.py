"""Models run in fresh processes, on this CPU and on emulated ones: QEMU's Haswell, which has no VNNI, and its Cortex-A76."""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from optkit.arrays import Array

needs_emulator = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64") or sys.platform != "linux", reason="emulates x86-64 on x86-64 Linux"),
    pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="qemu-x86_64 is not installed (Debian: apt install qemu-user)"),
]
ARM64_ROOT = Path(os.environ.get("OPTKIT_ARM64_ROOT", "missing"))
"""What tests/real/arm64_root.sh makes: Python, NumPy and ONNX Runtime for arm64."""
needs_arm64 = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("qemu-aarch64") is None, reason="qemu-aarch64 is not installed (Debian: apt install qemu-user)"),
    pytest.mark.skipif(
        not (ARM64_ROOT / "python").exists(),
        reason="tests/real/arm64_root.sh FOLDER makes an arm64 Python; name it in OPTKIT_ARM64_ROOT",
    ),
]
RUN = """
import pathlib, sys
import numpy, onnxruntime
for model in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    with numpy.load(model.with_suffix(".npz")) as feed:
        numpy.save(model.with_suffix(sys.argv[2]), session.run(None, dict(feed))[0])
"""


def run_all(folder: Path, *emulator: str) -> Callable[[str], Array]:
    """First outputs of every model in a folder on the feed beside it, computed in one fresh process."""
    paths = os.pathsep.join(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))
    command = [*emulator, str(Path(sys.executable).resolve())]
    return _run(folder, command, {**os.environ, "PYTHONPATH": paths}, ".emulated.npy" if emulator else ".here.npy")


def _run(folder: Path, python: list[str], environment: dict[str, str], suffix: str) -> Callable[[str], Array]:
    subprocess.run([*python, "-c", RUN, str(folder), suffix], env=environment, check=True, capture_output=True, timeout=900)
    return lambda name: np.asarray(np.load(folder / f"{name}{suffix}"))


def on_haswell(folder: Path) -> Callable[[str], Array]:
    return run_all(folder, "qemu-x86_64", "-cpu", "Haswell")


def on_arm64(folder: Path) -> Callable[[str], Array]:
    root = ARM64_ROOT.resolve()
    emulator = ["qemu-aarch64", "-cpu", "cortex-a76", "-L", str(root), "-E", f"PYTHONPATH={root / 'packages'}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return _run(folder, [*emulator, str((root / "python").resolve())], environment, ".arm64.npy")
