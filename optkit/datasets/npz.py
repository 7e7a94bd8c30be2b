"""numpy archives: one array per model input by name, the first axis being the examples; `labels` and `groups` beside them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from optkit.arrays import Array
from optkit.datasets._fit import cut
from optkit.datasets._source import Source
from optkit.errors import DataError
from optkit.inputs import Input


def read(source: Source, inputs: Sequence[Input]) -> dict[str, Array]:
    """The arrays, cut to the rows asked for. Nothing is ever unpickled."""
    try:
        with Path(source.place).open("rb") as stream:  # numpy leaves its own stream open when it fails
            file = np.load(stream, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise DataError(
                    "this is a single array, not an .npz archive", where=source.text, hint="save it with np.savez(FILE, INPUT=array)"
                )
            arrays = {name: file[name] for name in file.files}
    except (DataError, MemoryError):
        raise
    except Exception as error:  # numpy and zipfile raise whatever the bytes made them do
        raise _unreadable(source, error) from error
    return cut(source.text, arrays, inputs, source.rows)


def _unreadable(source: Source, error: Exception) -> DataError:
    if isinstance(error, PermissionError):
        return DataError("you may not read this file", where=source.text, hint="change its permissions")
    if "Object arrays" in str(error):
        hint = "optkit never unpickles data: save arrays of numbers or of text (dtype '<U…'), not of objects"
        return DataError("it holds an array of Python objects", where=source.text, hint=hint)
    return DataError("this is not an .npz archive, or it is damaged or cut short", where=source.text, hint="save it again with np.savez")
