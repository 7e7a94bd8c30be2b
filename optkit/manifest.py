"""How a model came to be, written into the model itself: the entry `optkit` of its metadata.

In an ONNX file the entry is the last thing in it, appended after everything else was written; it holds the sha256 of what stands before it,
so any later change shows. Nothing in it depends on time: the same input, recipe, data, seed and versions give the same bytes.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from optkit.artifact import Artifact, Made
from optkit.errors import ModelError
from optkit.formats import format_of, model_files
from optkit.formats.onnx import load_proto
from optkit.formats.safetensors_header import digest_of_tensors, read_metadata, write_metadata

KEY = "optkit"
SCHEMA = 1
CHOSEN_ON = "chosen_on"
"""Note of the instruction sets of the machine that something was measured on."""
MEASURED = "measured"
"""Notes whose names begin so hold times read on one machine: they reach the report, never the file."""


def stamp(path: Path, original: Artifact, lineage: tuple[Made, ...]) -> None:
    """Append the manifest to a model file; its other metadata stay."""
    earlier = read_manifest(path) if format_of(path) == "torch" else _strip(path)
    manifest = {
        "schema": SCHEMA,
        "source": {"file": original.path.name, "digest": original.digest},
        "steps": [*(earlier or {}).get("steps", ()), *map(_step, lineage)],
        "content": _content(path),
        "weights": {file.name: _file_digest(file) for file in model_files(path)[1:]},
    }
    if format_of(path) == "torch":
        write_metadata(path, {KEY: _text(manifest)})
        return
    with path.open("ab") as stream:
        stream.write(_entry(manifest))


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest in a model file; None where there is none. Raises ModelError when the file is no model."""
    if format_of(path) == "torch":
        return _parsed(read_metadata(path).get(KEY)) if path.suffix == ".safetensors" else None
    return _manifest_of(load_proto(path))


def lineage_of(path: Path) -> tuple[Made, ...]:
    """The steps that made a model file, oldest first, out of its manifest; none where it has none that this version reads."""
    manifest = read_manifest(path)
    if manifest is None or manifest.get("schema") != SCHEMA:
        return ()
    try:
        return tuple(_made(step) for step in manifest.get("steps", ()))
    except (KeyError, TypeError):  # it was tampered with, which is for `optkit verify` to say
        return ()


def changes(path: Path) -> list[str]:
    """What no longer agrees with the manifest, in sentences; empty where all is as optkit wrote it."""
    manifest = read_manifest(path)
    if manifest is None:
        raise ModelError("it holds no manifest of optkit", where=str(path), hint="only models that optkit made can be verified")
    if manifest.get("schema") != SCHEMA:
        what = f"its manifest has schema {manifest.get('schema')}, and this optkit reads schema {SCHEMA}"
        raise ModelError(what, where=str(path), hint="verify it with the version that made it")
    found = []
    if not _unchanged(path, manifest):
        found.append(f"{path.name} was changed after optkit wrote it")
    for name, digest in manifest.get("weights", {}).items():
        file = path.parent / name
        if not file.is_file():
            found.append(f"{name}, which holds weights, is not beside it")
        elif _file_digest(file) != digest:
            found.append(f"{name}, which holds weights, was changed after optkit wrote it")
    return found


def _unchanged(path: Path, manifest: Mapping[str, Any]) -> bool:
    if format_of(path) == "torch":
        return digest_of_tensors(path) == manifest.get("content")
    entry, data = _entry(manifest), path.read_bytes()
    return data.endswith(entry) and hashlib.sha256(data[: -len(entry)]).hexdigest() == manifest.get("content")


def _content(path: Path) -> str:
    """What a change would show in: the file as it is before the manifest, or a PyTorch model's tensors."""
    return digest_of_tensors(path) if format_of(path) == "torch" else _file_digest(path)


def _step(made: Made) -> dict[str, Any]:
    return {
        "pass": made.by,
        "parameters": dict(made.parameters),
        "source": made.source,
        "data": made.data,
        "versions": dict(made.versions),
        "seed": made.seed,
        "notes": {name: value for name, value in made.notes.items() if not name.startswith(MEASURED)},
    }


def _made(step: Mapping[str, Any]) -> Made:
    keys = ("parameters", "source", "data", "versions", "seed")
    return Made(step["pass"], **{key: step[key] for key in keys}, notes=step.get("notes", {}))


def _strip(path: Path) -> dict[str, Any] | None:
    """Take an earlier manifest out of a file, so that there is only one."""
    model = load_proto(path)
    kept = [entry for entry in model.metadata_props if entry.key != KEY]
    if len(kept) == len(model.metadata_props):
        return None
    earlier = _manifest_of(model)
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return earlier


def _manifest_of(model: onnx.ModelProto) -> dict[str, Any] | None:
    for entry in model.metadata_props:
        if entry.key == KEY:
            return _parsed(entry.value)
    return None


def _parsed(text: str | None) -> dict[str, Any] | None:
    try:
        found = json.loads(text or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _entry(manifest: Mapping[str, Any]) -> bytes:
    """The bytes of a model that has nothing but this entry: appended to a model they add it, as protobuf messages merge."""
    return bytes(onnx.ModelProto(metadata_props=[onnx.StringStringEntryProto(key=KEY, value=_text(manifest))]).SerializeToString())


def _text(manifest: Mapping[str, Any]) -> str:
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _file_digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
