"""The graph that ONNX Runtime makes of a model before it runs it."""

import tempfile
from pathlib import Path

import onnx

from optkit.runtimes.onnxruntime import OnnxSession, open_onnx

WEIGHTS_ASIDE = {
    "session.optimized_model_external_initializers_file_name": "weights",
    "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
}
"""A file holds no more than 2 GB otherwise, and nobody reads them."""


def open_rewritten(model: Path, device: str = "cpu", threads: int = 1) -> tuple[OnnxSession, onnx.GraphProto]:
    """A session, and its graph without large weights. Its nodes have the names that they have in a profile.

    Raises UsageError and ModelError as opening a model does, ModelError also where the device compiles parts of it, which cannot be saved.
    """
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        saved = Path(folder) / "rewritten.onnx"
        session = open_onnx(model, device, threads, config=WEIGHTS_ASIDE, optimized_to=saved)
        return session, onnx.load(saved, load_external_data=False).graph
