"""numpy archives: one array per model input by name, the first axis being the examples; `labels` and `groups` beside them."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from optkit.datasets._examples import Array
from optkit.datasets._fit import BESIDE, Input, check_lengths, check_names
from optkit.datasets._source import Source
from optkit.errors import DataError


def read(source: Source, inputs: Sequence[Input]) -> dict[str, Array]:
    """The arrays, each cut to the rows asked for as it is read."""
    path = Path(source.place)
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(
                    "this is a single array, not an .npz archive", where=source.text, hint="save it with np.savez(FILE, INPUT=array)"
                )
            arrays = {name: file[name] for name in file.files}
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError) as error:
        raise _unreadable(source, error) from error
    names = {port.name for port in inputs}
    beside = [arrays.get(name) if name not in names else None for name in BESIDE]
    found = {name: array for name, array in arrays.items() if name in names or name not in BESIDE}
    check_names(source.text, found, inputs)
    check_lengths(source.text, found, *beside)  # before the slice, which would hide a difference
    if source.rows == slice(None):
        return arrays
    return {name: arrays[name][source.rows].copy() for name in arrays}


def _unreadable(source: Source, error: Exception) -> DataError:
    if "pickle" in str(error) and "Object arrays" in str(error):
        hint = "optkit never unpickles data: save arrays of numbers or of text (dtype '<U…'), not of objects"
        return DataError("it holds an array of Python objects", where=source.text, hint=hint)
    return DataError("this is not an .npz archive, or it is damaged or cut short", where=source.text, hint="save it again with np.savez")
