"""A folder of images: class sub-folders, a `labels.csv`, or no labels. How pixels become numbers stands in `FOLDER.yaml`."""

import csv
from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from optkit.arrays import Array
from optkit.datasets._image_steps import ImageSteps, prepare, settle
from optkit.datasets._sidecar import read_sidecar, sidecar_path
from optkit.datasets._source import Source
from optkit.errors import DataError
from optkit.inputs import Input
from optkit.needs import need

KINDS = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}

Labelled = list[tuple[Path, str | None]]


def read(source: Source, inputs: Sequence[Input]) -> dict[str, Array]:
    """The images asked for, prepared, and the numbers of their classes. Raises DataError and MissingLibrary."""
    files = _files(source)
    if not files:
        kinds = ", ".join(sorted(kind[1:] for kind in KINDS))
        raise DataError("it holds no images", where=source.text, hint=f"put images ({kinds}) or test_data_set_* folders into it")
    need("images", f"data {source.text}")
    steps = read_sidecar(source, ImageSteps)
    if steps is None:
        path = sidecar_path(source)
        hint = f"write {path} with what the model was trained with, such as `resize: 256`, `crop: 224`, `mean: [0.485, 0.456, 0.406]`"
        raise DataError("nothing says how its images become numbers", where=source.text, hint=hint)
    port = _image_input(source, inputs)
    steps = settle(steps, port, str(sidecar_path(source)))
    chosen = files[source.rows]
    if not chosen:
        raise DataError("the slice selects no examples", where=source.text, hint=f"it has {len(files)} images")
    arrays = {port.name: _pixels(source, [file for file, _ in chosen], steps, port)}
    names = [name for _, name in files if name is not None]
    if names:
        numbers = _class_numbers(source, names, steps.classes)
        arrays["labels"] = np.array([numbers[name] for _, name in chosen if name is not None], np.int64)
    return arrays


def _files(source: Source) -> Labelled:
    """Every image with the name of its class. Classes take turns, so that a slice has some of each."""
    folder = Path(source.place)
    table = folder / "labels.csv"
    if table.exists():
        return _listed(source, table)
    loose = _images(folder)
    if loose:
        return [(file, None) for file in loose]
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    turns = zip_longest(*([(file, path.name) for file in _images(path)] for path in classes))
    return [one for one in chain.from_iterable(turns) if one is not None]


def _listed(source: Source, table: Path) -> Labelled:
    with table.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream)
        if not {"file", "label"} <= set(rows.fieldnames or ()):
            raise DataError("labels.csv lacks the columns file and label", where=source.text, hint="its first line must be: file,label")
        files: Labelled = [(table.parent / (row["file"] or ""), row["label"]) for row in rows]
    for number, (file, label) in enumerate(files, 2):
        if not file.is_file():
            raise DataError(
                f"labels.csv:{number} names {file.name!r}, which is not there", where=source.text, hint="paths start at the folder"
            )
        if not label:
            raise DataError(f"labels.csv:{number} has no label", where=source.text, hint="each line is: file,label")
    return files


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in KINDS and path.is_file())


def _class_numbers(source: Source, names: list[str], classes: Sequence[str]) -> dict[str, int]:
    """Names to class numbers: their place in `classes`, the number that they are, or their place in the alphabet."""
    found = sorted(set(names))
    if classes:
        strange = [name for name in found if name not in classes]
        if strange:
            hint = f"add it there; known: {', '.join(classes)}"
            raise DataError(f"class {strange[0]!r} is not among the classes of {sidecar_path(source).name}", where=source.text, hint=hint)
        return {name: classes.index(name) for name in found}
    if all(name.isdecimal() for name in found):
        return {name: int(name) for name in found}
    return {name: number for number, name in enumerate(found)}


def _image_input(source: Source, inputs: Sequence[Input]) -> Input:
    if len(inputs) != 1:
        known = ", ".join(port.name for port in inputs)
        raise DataError(f"a folder of images fills one input, the model has {len(inputs)}: {known}", where=source.text, hint="give an .npz")
    return inputs[0]


def _pixels(source: Source, files: list[Path], steps: ImageSteps, port: Input) -> Array:
    from PIL import Image

    examples: Array | None = None
    for i, file in enumerate(files):
        try:
            with Image.open(file) as image:
                pixels = prepare(image, steps, port.dtype)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            what = f"{file.relative_to(source.place)} cannot be used: {error}"
            raise DataError(what, where=source.text, hint=f"mend or remove it, or change {sidecar_path(source).name}") from error
        if examples is None:
            examples = np.empty((len(files), *pixels.shape), pixels.dtype)
        if pixels.shape != examples.shape[1:]:
            what = f"{file.relative_to(source.place)} becomes {list(pixels.shape)}, {files[0].name} becomes {list(examples.shape[1:])}"
            hint = f"bring them to one size with resize and crop in {sidecar_path(source).name}"
            raise DataError(what, where=source.text, hint=hint)
        examples[i] = pixels
    assert examples is not None  # there is at least one file
    return examples
