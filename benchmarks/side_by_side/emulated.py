"""Whether a file answers alike on another CPU: emulated by QEMU, an Intel Haswell, which has no VNNI."""

import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optkit.arrays import Array

EMULATOR = ("qemu-x86_64", "-cpu", "Haswell")
LONGEST = 300.0
"""Seconds."""
RUN = """
import sys
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.log_severity_level = 1, 4
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
with numpy.load(sys.argv[2]) as file:
    arrays = dict(file)
names = [node.name for node in session.get_inputs()]
count = len(next(iter(arrays.values())))
answers = [session.run(None, {name: arrays[name][i] for name in names})[0] for i in range(count)]
numpy.save(sys.argv[3], numpy.concatenate([answer.ravel() for answer in answers]))
"""


def on_haswell(model: Path, feeds: Sequence[Mapping[str, Array]]) -> str:
    """How near the first output there comes to the one here, in words."""
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "feeds.npz"
        arrays: dict[str, Any] = {name: np.stack([feed[name] for feed in feeds]) for name in feeds[0]}
        np.savez(given, **arrays)
        try:
            here, there = (_answers(model, given, Path(folder) / f"{i}.npy", words) for i, words in enumerate(((), EMULATOR)))
        except subprocess.TimeoutExpired:
            return "takes too long to emulate"
        except subprocess.CalledProcessError:
            return "cannot be emulated"
    noise = float(((here - there) ** 2).sum())
    return "the same" if noise == 0 else f"{10 * np.log10(float((here**2).sum()) / noise):.0f} dB"


def _answers(model: Path, feeds: Path, answers: Path, words: Sequence[str]) -> Array:
    paths = os.pathsep.join(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))
    command = [*words, str(Path(sys.executable).resolve()), "-c", RUN, str(model), str(feeds), str(answers)]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, check=True, capture_output=True, timeout=LONGEST)
    return np.asarray(np.load(answers), np.float64)
