"""Load, save and inspect models. One file a format."""

import difflib
from pathlib import Path

from optkit.artifact import Artifact
from optkit.errors import ModelError


def read_artifact(path: Path) -> Artifact:
    """Describe the model file at `path`. Raises ModelError when it is missing, not a model, or truncated."""
    if not path.exists():
        raise ModelError("there is no such file", where=str(path), hint=_near(path))
    if path.is_dir():
        raise ModelError("this is a folder, not a model file", where=str(path), hint="name the .onnx file in it")
    from optkit.formats.onnx import digest_of

    return Artifact(path, "onnx", digest_of(path))


def _near(path: Path) -> str:
    beside = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, [name for name in beside if name.endswith(".onnx")], n=1)
    return f"did you mean {path.parent / near[0]}?" if near else "check the path; it is relative to the current folder"
