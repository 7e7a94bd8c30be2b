"""Examples to calibrate with, to train on and to evaluate on. One file a kind of source."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from optkit.datasets._examples import Array, Examples
from optkit.datasets._fit import Input, fit_examples
from optkit.datasets._source import Source, parse_source
from optkit.errors import DataError, UsageError

__all__ = ["Array", "Examples", "Input", "fit_examples", "read_examples"]


def read_examples(data: str, inputs: Sequence[Input], *, needs_labels: bool = False) -> Examples:
    """Read what `--data` names and fit it to the inputs of a model.

    Raises DataError when the data cannot be read or does not fit, UsageError when DATA names nothing optkit reads; two lines each.
    """
    source = parse_source(data)
    arrays = _read(source, inputs)
    if any(len(array) == 0 for array in arrays.values()) and source.rows != slice(None):
        raise DataError("the slice selects no examples", where=data, hint=f"{source.place} has fewer; try a smaller start")
    return fit_examples(data, arrays, inputs, needs_labels=needs_labels)


def _read(source: Source, inputs: Sequence[Input]) -> dict[str, Array]:
    path = Path(source.place)
    if not path.exists():
        raise _missing(source, path)
    if path.suffix == ".npz":
        from optkit.datasets import npz

        return npz.read(source, inputs)
    raise UsageError("this is no data that optkit reads", where=source.text, hint="give an .npz file")


def _missing(source: Source, path: Path) -> DataError:
    beside = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    hint = f"did you mean {path.parent / near[0]}?" if near else "check the path; it is relative to the current folder"
    return DataError("there is no such file or folder", where=source.text, hint=hint)
