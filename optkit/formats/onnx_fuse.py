"""Attention, layer norms and activations of a transformer as one operator each, by onnxruntime.transformers."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx_ir as ir

from optkit.errors import ModelError
from optkit.formats.onnx import load_model, save_model

LONGEST = 900.0
"""Seconds; the fusions take a few."""
NORMS = frozenset({"LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"})


def fuse(model: ir.Model, family: str = "bert") -> tuple[ir.Model, dict[str, int]]:
    """The model with fused operators, and how many of each it gained; the one given is not changed.

    `family` is the kind of network whose patterns are looked for. Raises ModelError when the fusions break on this model.
    """
    heads, hidden = attention_size(model)
    with TemporaryDirectory(prefix="optkit-") as folder:
        source, target = Path(folder) / "source.onnx", Path(folder) / "fused.onnx"
        save_model(model, source)
        _run([str(source), str(target), family, str(heads), str(hidden)], folder)
        fused = load_model(target)
        ir.external_data.load_to_model(fused)
    for value, twin in zip(fused.graph.outputs, model.graph.outputs, strict=True):
        value.shape, value.type = twin.shape, twin.type
    fused.producer_name, fused.producer_version = model.producer_name, model.producer_version
    return fused, _gained(model, fused)


def attention_size(model: ir.Model) -> tuple[int, int]:
    """Heads and hidden size, from the reshape that splits [.., .., hidden] into [.., .., heads, size]; (0, 0) where there is none."""
    found: Counter[tuple[int, int]] = Counter()
    for node in model.graph:
        shapes = [v.shape for v in (*node.inputs[:1], *node.outputs[:1]) if v is not None and v.shape is not None]
        if node.op_type != "Reshape" or len(shapes) != 2 or (len(shapes[0]), len(shapes[1])) != (3, 4):
            continue
        hidden, size = shapes[0][2], shapes[1][3]
        if isinstance(hidden, int) and isinstance(size, int) and 0 < size < hidden and hidden % size == 0:
            found[hidden // size, hidden] += 1
    return found.most_common(1)[0][0] if found else (0, 0)


def _run(arguments: list[str], folder: str) -> None:
    command = [sys.executable, "-P", str(Path(__file__).with_name("_fusing.py")), *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"the transformer fusions did not end within {LONGEST:.0f} s", hint="leave fuse_transformer out") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(f"the transformer fusions break on this model: {last}", hint="try another family, or leave fuse_transformer out")


def _gained(before: ir.Model, after: ir.Model) -> dict[str, int]:
    gained = _fused_operators(after)
    gained.subtract(_fused_operators(before))
    return {name: count for name, count in sorted(gained.items()) if count > 0}


def _fused_operators(model: ir.Model) -> Counter[str]:
    return Counter(n.op_type for n in model.graph.all_nodes() if n.domain == "com.microsoft" or n.op_type in NORMS)
