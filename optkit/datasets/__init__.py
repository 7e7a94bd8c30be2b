"""Examples to calibrate with, to train on and to evaluate on. One file a kind of source."""

import difflib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from optkit.arrays import Array
from optkit.datasets._examples import Examples
from optkit.datasets._fit import fit_examples
from optkit.datasets._source import Source, parse_source
from optkit.errors import DataError, UsageError
from optkit.inputs import Input

READERS = {".npz": "npz", ".csv": "table", ".jsonl": "table"}
"""File suffix → the kind of source that reads it."""
FORMS = "an .npz file, a .csv or .jsonl table, a folder of images or of test_data_set_*/input_N.pb, or module:function"

__all__ = ["Array", "Examples", "Input", "fit_examples", "read_examples"]


def read_examples(data: str, inputs: Sequence[Input], *, needs_labels: bool = False) -> Examples:
    """Read what `--data` names and fit it to the inputs of a model.

    Raises DataError when the data cannot be read or does not fit, UsageError when DATA names nothing optkit reads; two lines each.
    """
    source = parse_source(data)
    arrays = _read(source, inputs)
    if any(array.shape[:1] == (0,) for array in arrays.values()) and source.rows != slice(None):
        raise DataError("the slice selects no examples", where=data, hint=f"{source.place} has fewer; try a smaller start")
    return fit_examples(data, arrays, inputs, needs_labels=needs_labels)


def _read(source: Source, inputs: Sequence[Input]) -> dict[str, Array]:
    path = Path(source.place)
    if source.is_callable and not path.exists():
        kind = "function"
    elif not path.exists():
        raise _missing(source, path)
    elif path.is_dir():
        kind = _kind_of_folder(path)
    elif path.suffix in READERS:
        kind = READERS[path.suffix]
    else:
        raise UsageError("this is no data that optkit reads", where=source.text, hint=f"give {FORMS}")
    arrays: dict[str, Array] = import_module(f"optkit.datasets.{kind}").read(source, inputs)
    return arrays


def _kind_of_folder(folder: Path) -> str:
    from optkit.datasets.tensor_folder import holds_tensors

    return "tensor_folder" if holds_tensors(folder) else "image_folder"


def _missing(source: Source, path: Path) -> DataError:
    beside = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    hint = f"did you mean {path.parent / near[0]}?" if near else "check the path; it is relative to the current folder"
    return DataError("there is no such file or folder", where=source.text, hint=hint)
