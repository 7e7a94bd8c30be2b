"""A folder of `test_data_set_*/input_N.pb`, as the ONNX project keeps test data: one ONNX TensorProto per input, one folder per feed."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper

from optkit.arrays import Array
from optkit.datasets._feeds import stack_feeds
from optkit.datasets._source import Source
from optkit.errors import DataError
from optkit.inputs import Input


def holds_tensors(folder: Path) -> bool:
    """Whether a folder is of this kind."""
    return bool(_sets(folder))


def read(source: Source, inputs: Sequence[Input]) -> dict[str, Array]:
    """One example per set, in the order of the sets' numbers."""
    sets = _sets(Path(source.place))[source.rows]
    if not sets:
        raise DataError("the slice selects no examples", where=source.text, hint=f"it has {len(_sets(Path(source.place)))}")
    return stack_feeds(source.text, [_feed(source, folder, inputs) for folder in sets], [port.name for port in inputs])


def _feed(source: Source, folder: Path, inputs: Sequence[Input]) -> dict[str, Array]:
    files = sorted(folder.glob("input_*.pb"), key=_number)
    if [_number(file) for file in files] != list(range(len(inputs))):
        what = f"{folder.name} has {', '.join(file.name for file in files)} for {len(inputs)} inputs"
        raise DataError(what, where=source.text, hint=f"give input_0.pb to input_{len(inputs) - 1}.pb in the order of the model's inputs")
    tensors = [_tensor(source, file) for file in files]
    named = {name: array for name, array in tensors if name}
    if named.keys() == {port.name for port in inputs}:
        return named
    return {port.name: array for port, (_, array) in zip(inputs, tensors, strict=True)}


def _tensor(source: Source, file: Path) -> tuple[str, Array]:
    tensor = onnx.TensorProto()
    try:
        tensor.ParseFromString(file.read_bytes())
        array = np.asarray(onnx.numpy_helper.to_array(tensor))
    except Exception as error:  # protobuf and numpy raise whatever the bytes made them do
        what = f"{file.parent.name}/{file.name} is not an ONNX tensor, or it is damaged or cut short"
        raise DataError(what, where=source.text, hint="write it with onnx.save_tensor; sequences and maps cannot be read") from error
    return tensor.name, array


def _sets(folder: Path) -> list[Path]:
    if (folder / "input_0.pb").exists():
        return [folder]
    return sorted((path for path in folder.glob("test_data_set_*") if path.is_dir()), key=_number)


def _number(path: Path) -> int:
    found = re.search(r"(\d+)(?:\.pb)?$", path.name)
    return int(found[1]) if found else 0
