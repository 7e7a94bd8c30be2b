"""Olive: `olive quantize` as its help describes INT8, and a workflow of one static pass.

Environment: pip install torch==2.13.0 olive-ai onnxruntime onnx requests
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

Feeds = list[dict[str, Any]]


SCRIPT = """
import numpy as np
from olive.data.registry import Registry

@Registry.register_dataset()
def feeds_of(**_):
    with np.load({path!r}) as file:
        arrays = dict(file)
    return [({{name: array[i] for name, array in arrays.items()}}, 0) for i in range(len(next(iter(arrays.values()))))]

@Registry.register_dataloader()
def one_by_one(dataset, **_):
    return dataset
"""


def quantize(model: Path, feeds: Feeds, output: Path) -> None:
    made = output.with_name("made")
    _olive("quantize", "-m", str(model), "--precision", "int8", "--implementation", "ort", "-o", str(made))
    next(made.rglob("*.onnx")).replace(output)


def run_static(model: Path, feeds: Feeds, output: Path) -> None:
    folder, made = output.parent, output.with_name("made")
    arrays: dict[str, Any] = {name: np.stack([feed[name] for feed in feeds]) for name in feeds[0]}
    np.savez(folder / "feeds.npz", **arrays)
    (folder / "feeds_script.py").write_text(SCRIPT.format(path=str(folder / "feeds.npz")), encoding="utf-8")
    data = {
        "name": "feeds",
        "user_script": str(folder / "feeds_script.py"),
        "load_dataset_config": {"type": "feeds_of"},
        "pre_process_data_config": {"type": "skip_pre_process"},
        "post_process_data_config": {"type": "skip_post_process"},
        "dataloader_config": {"type": "one_by_one"},
    }
    workflow = {
        "input_model": {"type": "ONNXModel", "model_path": str(model)},
        "data_configs": [data],
        "passes": {"static": {"type": "OnnxStaticQuantization", "data_config": "feeds"}},
        "output_dir": str(made),
        "no_artifacts": True,
        "cache_dir": str(folder / "cache"),
    }
    (folder / "workflow.json").write_text(json.dumps(workflow), encoding="utf-8")
    _olive("run", "--config", str(folder / "workflow.json"))
    next(made.rglob("*.onnx")).replace(output)


def _olive(*arguments: str) -> None:
    silent = {**os.environ, "OLIVE_DISABLE_TELEMETRY": "1"}
    subprocess.run([str(Path(sys.executable).with_name("olive")), *arguments], check=True, env=silent)


SETTINGS = {"quantize, int8": quantize, "run, static": run_static}
