from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import pytest

from optkit.arrays import Array
from optkit.datasets import read_examples
from optkit.errors import DataError
from optkit.runtimes import Port

X, Y = Port("x", "float32", ("N", 3)), Port("y", "int64", ("N",))


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., str]:
    def tensors(number: int, *arrays: Array, names: tuple[str, ...] = ()) -> str:
        folder = tmp_path / f"test_data_set_{number}"
        folder.mkdir()
        for i, array in enumerate(arrays):
            tensor = onnx.numpy_helper.from_array(array, names[i] if names else None)
            (folder / f"input_{i}.pb").write_bytes(tensor.SerializeToString())
        return str(tmp_path)

    return tensors


def row(value: float) -> Array:
    return np.full((1, 3), value, np.float32)


def test_sets_are_examples_in_the_order_of_their_numbers(save: Callable[..., str]) -> None:
    for number in (0, 2, 10):
        data = save(number, row(number), np.array([number]))
    examples = read_examples(data, [X, Y])
    assert not examples.whole
    assert examples.arrays["x"][:, 0].tolist() == [0, 2, 10]
    assert examples.arrays["y"].tolist() == [0, 2, 10]
    assert read_examples(f"{data}[1:]", [X, Y]).arrays["y"].tolist() == [2, 10]


def test_larger_batches_stay_whole(save: Callable[..., str]) -> None:
    data = save(0, np.ones((4, 3), np.float32), np.arange(4))
    examples = read_examples(data, [X, Y])
    assert examples.whole
    assert next(examples.feeds())["x"].shape == (4, 3)


def test_one_set_alone(save: Callable[..., str]) -> None:
    data = save(0, row(5), np.array([1]))
    assert read_examples(f"{data}/test_data_set_0", [X, Y]).arrays["y"].tolist() == [1]


def test_names_in_the_tensors_come_before_their_order(save: Callable[..., str]) -> None:
    data = save(0, np.array([7]), row(5), names=("y", "x"))
    assert read_examples(data, [X, Y]).arrays["y"].tolist() == [7]


def test_other_names_are_read_in_order(save: Callable[..., str]) -> None:
    data = save(0, row(5), np.array([7]), names=("data_0", "data_1"))
    assert read_examples(data, [X, Y]).arrays["y"].tolist() == [7]


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ([row(1)], "test_data_set_0 has input_0.pb for 2 inputs"),
        ([row(1), np.array([1]), row(1)], "test_data_set_0 has input_0.pb, input_1.pb, input_2.pb for 2 inputs"),
    ],
)
def test_other_numbers_of_tensors(save: Callable[..., str], arrays: list[Array], what: str) -> None:
    with pytest.raises(DataError) as caught:
        read_examples(save(0, *arrays), [X, Y])
    assert caught.value.what == what


@pytest.mark.parametrize("content", [b"", b"\xff\xff\xff", b"text"])
def test_a_damaged_tensor(save: Callable[..., str], content: bytes) -> None:
    data = save(0, row(1), np.array([1]))
    (Path(data) / "test_data_set_0" / "input_1.pb").write_bytes(content)
    with pytest.raises(DataError, match=r"test_data_set_0/input_1.pb is not an ONNX tensor"):
        read_examples(data, [X, Y])


def test_a_slice_that_selects_nothing(save: Callable[..., str]) -> None:
    with pytest.raises(DataError, match="selects no examples"):
        read_examples(save(0, row(1), np.array([1])) + "[3:]", [X, Y])
