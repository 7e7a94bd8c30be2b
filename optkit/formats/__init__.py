"""Load, save and inspect models. One file a format; here what is asked of a model file whatever its format."""

from pathlib import Path

from optkit.artifact import Artifact

SUFFIXES = {".safetensors": "torch", ".pt2": "torch"}
"""What a file name says of its format; any other is ONNX."""
NAMES = {"onnx": "model.onnx", "torch": "model.safetensors"}
"""What a model of a format is called while nobody has named it."""


def format_of(path: Path) -> str:
    return SUFFIXES.get(path.suffix, "onnx")


def read_artifact(path: Path) -> Artifact:
    """Describe the model file at `path`. Raises ModelError when it is missing, not a model, or truncated."""
    return Artifact(path, format_of(path), digest_of(path))


def digest_of(path: Path) -> str:
    """sha256 over the model file and the files that belong to it. Raises ModelError."""
    if format_of(path) == "torch":
        from optkit.formats.safetensors_header import digest_of_file

        return digest_of_file(path)
    from optkit.formats.onnx import digest_of

    return digest_of(path)


def model_files(path: Path) -> tuple[Path, ...]:
    """The model file and the files that belong to it. Raises ModelError."""
    if format_of(path) == "torch":
        return (path,)
    from optkit.formats.onnx import model_files

    return model_files(path)


def model_size(path: Path) -> int:
    """Bytes on disk, the files that belong to it included."""
    return sum(file.stat().st_size for file in model_files(path))


LARGEST_TRIED = 4 * 2**30
"""Bytes. gzip's fastest level takes about a second for 50 MB."""


def compressed_size(path: Path) -> int | None:
    """Bytes on disk after gzip at its fastest level, read bit by bit; None for a model that is too large to try."""
    import zlib

    if model_size(path) > LARGEST_TRIED:
        return None
    gzip, size = zlib.compressobj(1, wbits=31), 0
    for file in model_files(path):
        with file.open("rb") as stream:
            while part := stream.read(2**20):
                size += len(gzip.compress(part))
    return size + len(gzip.flush())


def rename_model(path: Path, name: str) -> Path:
    """Give a model file another name in its folder; files that belong to it follow."""
    if format_of(path) == "torch":
        return path.rename(path.with_name(name))
    from optkit.formats.onnx import rename_model

    return rename_model(path, name)
