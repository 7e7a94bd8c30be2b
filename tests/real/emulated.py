"""Models run in fresh processes, on this CPU and on an emulated one without VNNI: QEMU's Haswell."""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, np.dtype[Any]]

needs_emulator = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64") or sys.platform != "linux", reason="emulates x86-64 on x86-64 Linux"),
    pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="qemu-x86_64 is not installed (Debian: apt install qemu-user)"),
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
    suffix = ".emulated.npy" if emulator else ".here.npy"
    paths = os.pathsep.join(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))
    command = [*emulator, str(Path(sys.executable).resolve()), "-c", RUN, str(folder), suffix]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, check=True, capture_output=True, timeout=900)
    return lambda name: np.asarray(np.load(folder / f"{name}{suffix}"))


def on_haswell(folder: Path) -> Callable[[str], Array]:
    return run_all(folder, "qemu-x86_64", "-cpu", "Haswell")
