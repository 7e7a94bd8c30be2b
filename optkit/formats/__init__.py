"""Load, save and inspect models. One file a format."""

from pathlib import Path

from optkit.artifact import Artifact
from optkit.errors import ModelError


def read_artifact(path: Path) -> Artifact:
    """Describe the model file at `path`. Raises ModelError when it is missing, not a model, or truncated."""
    if not path.exists():
        raise ModelError("there is no such file", where=str(path))
    if path.is_dir():
        raise ModelError("this is a folder, not a model file", where=str(path), hint="name the .onnx file in it")
    from optkit.formats.onnx import digest_of

    return Artifact(path, "onnx", digest_of(path))
