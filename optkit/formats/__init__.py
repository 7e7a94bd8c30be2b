"""Load, save and inspect models. One file a format."""

from pathlib import Path

from optkit.artifact import Artifact


def read_artifact(path: Path) -> Artifact:
    """Describe the model file at `path`. Raises ModelError when it is missing, not a model, or truncated."""
    from optkit.formats.onnx import digest_of

    return Artifact(path, "onnx", digest_of(path))
