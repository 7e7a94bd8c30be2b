"""Hugging Face Optimum's command line, with the preset for x86 servers.

Environment: pip install torch==2.13.0 optimum-onnx[onnxruntime]
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

Feeds = list[dict[str, Any]]


def quantize(model: Path, feeds: Feeds, output: Path) -> None:
    given, made = output.with_name("given"), output.with_name("made")
    given.mkdir()
    shutil.copy(model, given / "model.onnx")
    command = ["onnxruntime", "quantize", "--onnx_model", str(given), "--avx512_vnni", "--per_channel", "-o", str(made)]
    subprocess.run([str(Path(sys.executable).with_name("optimum-cli")), *command], check=True)
    next(made.rglob("*.onnx")).replace(output)


SETTINGS = {"avx512_vnni, per channel": quantize}
