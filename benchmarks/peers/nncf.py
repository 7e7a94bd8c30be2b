"""NNCF's post-training quantization, and its preset for transformers.

Environment: pip install nncf onnx onnxruntime
"""

from functools import partial
from pathlib import Path
from typing import Any

Feeds = list[dict[str, Any]]


def quantize(model: Path, feeds: Feeds, output: Path, transformer: bool = False) -> None:
    import nncf
    import onnx

    options = {"model_type": nncf.ModelType.TRANSFORMER} if transformer else {}
    made = nncf.quantize(onnx.load(model), nncf.Dataset(feeds), subset_size=len(feeds), **options)
    onnx.save(made, output)


SETTINGS = {"default": quantize, "transformer": partial(quantize, transformer=True)}
