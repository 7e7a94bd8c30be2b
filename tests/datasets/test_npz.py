import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.datasets import read_examples
from optkit.errors import DataError, UsageError
from optkit.runtimes import Port

X = Port("x", "float32", ("N", 3))
IDS = Port("ids", "int64", ("N", "T"))
VAD = [Port("input", "float32", (None, None)), Port("state", "float32", (2, None, 4)), Port("sr", "int64", ())]


@pytest.fixture
def npz(tmp_path: Path) -> Callable[..., str]:
    def save(**arrays: Any) -> str:
        np.savez(tmp_path / "data.npz", **arrays)
        return str(tmp_path / "data.npz")

    return save


def refusal(data: str, *inputs: Port, needs_labels: bool = False) -> tuple[str, str]:
    """What is wrong and the hint; both are one line."""
    with pytest.raises(DataError) as caught:
        read_examples(data, inputs, needs_labels=needs_labels)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{data}: ")
    assert lines[1].startswith("hint: ")
    return lines[0].removeprefix(f"{data}: "), lines[1].removeprefix("hint: ")


def test_arrays_come_by_input_name_with_labels(npz: Callable[..., str]) -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    examples = read_examples(npz(labels=np.arange(4), x=x), [X], needs_labels=True)
    assert len(examples) == 4
    assert not examples.whole
    assert list(examples.arrays) == ["x"]
    np.testing.assert_array_equal(examples.arrays["x"], x)
    np.testing.assert_array_equal(examples.labels, np.arange(4))


def test_an_input_called_labels_is_an_input(npz: Callable[..., str]) -> None:
    examples = read_examples(npz(x=np.ones((2, 3), np.float32), labels=np.ones(2, np.int64)), [X, Port("labels", "int64", ("N",))])
    assert list(examples.arrays) == ["x", "labels"]
    assert examples.labels is None


def test_whole_feeds_keep_their_axes(npz: Callable[..., str]) -> None:
    data = npz(input=np.zeros((5, 1, 8), np.float32), state=np.zeros((5, 2, 1, 4), np.float32), sr=np.full(5, 16000), labels=np.zeros(5))
    examples = read_examples(data, VAD)
    assert examples.whole
    feed = next(examples.feeds(batch=4))
    assert {name: array.shape for name, array in feed.items()} == {"input": (1, 8), "state": (2, 1, 4), "sr": ()}


@given(start=st.integers(-12, 12) | st.none(), stop=st.integers(-12, 12) | st.none(), step=st.integers(1, 4) | st.none())
def test_a_slice_picks_what_numpy_picks(tmp_path_factory: pytest.TempPathFactory, start: int, stop: int, step: int) -> None:
    file = tmp_path_factory.getbasetemp() / "slices.npz"
    if not file.exists():
        np.savez(file, x=np.arange(30, dtype=np.float32).reshape(10, 3), labels=np.arange(10))
    wanted = np.arange(10)[start:stop:step]
    text = ":".join("" if part is None else str(part) for part in (start, stop, step))
    if len(wanted):
        examples = read_examples(f"{file}[{text}]", [X])
        np.testing.assert_array_equal(examples.labels, wanted)
        np.testing.assert_array_equal(examples.arrays["x"][:, 0], wanted * 3)
    else:
        assert refusal(f"{file}[{text}]", X)[0] == "the slice selects no examples"


@pytest.mark.parametrize("inside", ["7", "a:b", "1:2:3:4", "", "1,2"])
def test_brackets_that_are_no_slice(npz: Callable[..., str], inside: str) -> None:
    with pytest.raises(UsageError, match="is not a slice"):
        read_examples(f"{npz(x=np.ones((2, 3)))}[{inside}]", [X])


def test_a_slice_steps_forward(npz: Callable[..., str]) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        read_examples(f"{npz(x=np.ones((2, 3)))}[::-1]", [X])


def test_a_slice_does_not_hide_different_lengths(npz: Callable[..., str]) -> None:
    data = npz(x=np.ones((9, 3), np.float32), labels=np.zeros(8)) + "[:4]"
    assert refusal(data, X)[0] == "array 'x' has 9 examples, 'labels' has 8"


def test_a_missing_input(npz: Callable[..., str]) -> None:
    what, hint = refusal(npz(x=np.ones((2, 3), np.float32), id=np.ones((2, 5), np.int64)), X, IDS)
    assert what == "input 'ids' (int64 [N, T]) has no array; the data has 'x', 'id'"
    assert hint == "if 'id' is meant, rename it: np.savez(FILE, ids=…)"


def test_one_input_and_one_array_of_another_name(npz: Callable[..., str]) -> None:
    what, hint = refusal(npz(images=np.ones((2, 3), np.float32), labels=np.ones(2)), X)
    assert what == "input 'x' (float32 [N, 3]) has no array; the data has 'images'"
    assert hint == "if 'images' is meant, rename it: np.savez(FILE, x=…)"


def test_an_array_that_is_no_input(npz: Callable[..., str]) -> None:
    assert refusal(npz(x=np.ones((2, 3), np.float32), ids=np.ones((2, 5), np.int64), idz=np.ones(2)), X, IDS) == (
        "array 'idz' is no input of the model",
        "did you mean 'ids'? inputs: x, ids",
    )


@pytest.mark.parametrize("shape", [(2, 4), (3,), (2, 3, 1, 1)])
def test_wrong_dimensions(npz: Callable[..., str], shape: tuple[int, ...]) -> None:
    what, _ = refusal(npz(x=np.ones(shape, np.float32)), X)
    assert what == f"input 'x' wants float32 [N, 3], the data has float32 {list(shape)}"


def test_a_scalar_among_batches(npz: Callable[..., str]) -> None:
    what, hint = refusal(npz(x=np.ones((2, 3), np.float32), limit=np.ones(2, np.float32)), X, Port("limit", "float32", ()))
    assert what == "each example of 'limit' is a whole feed (one axis more than the input), each of 'x' is a row of a batch"
    assert hint == "give 'x' one axis more too, of length 1"


def test_an_unknown_rank_takes_any_array(npz: Callable[..., str]) -> None:
    assert not read_examples(npz(x=np.ones((2, 3), np.float32), y=np.ones((2, 7, 7), np.float32)), [X, Port("y", "float32", ())]).whole


def test_different_lengths(npz: Callable[..., str]) -> None:
    data = npz(x=np.ones((2, 3), np.float32), ids=np.ones((3, 5), np.int64))
    assert refusal(data, X, IDS)[0] == "array 'x' has 2 examples, 'ids' has 3"


def test_labels_of_another_length(npz: Callable[..., str]) -> None:
    assert refusal(npz(x=np.ones((2, 3), np.float32), labels=np.ones(3)), X)[0] == "array 'x' has 2 examples, 'labels' has 3"


def test_labels_that_are_needed(npz: Callable[..., str]) -> None:
    assert refusal(npz(x=np.ones((2, 3), np.float32)), X, needs_labels=True)[0] == "it has no labels, and the metric needs them"


@pytest.mark.parametrize(
    "arrays", [{"x": np.ones((0, 3), np.float32)}, {"x": np.float32(1)}, {"x": np.ones((2, 3)), "labels": np.int64(1)}, {}]
)
def test_data_without_examples(npz: Callable[..., str], arrays: dict[str, Any]) -> None:
    refusal(npz(**arrays), X)


SAFE = [
    ("float32", np.array([[0.1, 1e30, np.inf]], np.float64)),
    ("float32", np.array([[1, 2, 2**24]], np.int64)),
    ("float32", np.array([[0, 7, 255]], np.uint8)),
    ("float32", np.array([[True, False, True]])),
    ("float16", np.array([[0.1, 60000, np.nan]], np.float32)),
    ("int64", np.array([[1, -2, 3]], np.int32)),
    ("int32", np.array([[1, -2, 2**31 - 1]], np.int64)),
    ("uint8", np.array([[0, 1, 255]], np.int64)),
    ("bool", np.array([[0, 1, 1]], np.int64)),
    ("int64", np.array([[False, True, True]])),
    ("bfloat16", np.array([[1, 2, 3]], np.float32)),
]


@pytest.mark.parametrize(("wanted", "array"), SAFE, ids=lambda v: v if isinstance(v, str) else v.dtype.name)
def test_safe_casts_are_made(npz: Callable[..., str], wanted: str, array: np.ndarray[Any, Any]) -> None:
    got = read_examples(npz(x=array), [Port("x", wanted, ("N", 3))]).arrays["x"]
    assert got.dtype.name == wanted
    np.testing.assert_allclose(got.astype(np.float64), array.astype(np.float64), rtol=1e-2 if wanted == "bfloat16" else 1e-3)


UNSAFE = [
    ("float16", np.array([[1, 2, 70000]], np.float32), "float32"),
    ("float32", np.array([[1, 2, 1e39]], np.float64), "float64"),
    ("float32", np.array([[1, 2, 2**24 + 1]], np.int64), "int64"),
    ("int64", np.array([[1, 2, 3]], np.float32), "float32"),
    ("int32", np.array([[1, 2, 2**31]], np.int64), "int64"),
    ("uint8", np.array([[1, 2, -1]], np.int64), "int64"),
    ("int64", np.array([[1, 2, 2**63]], np.uint64), "uint64"),
    ("bool", np.array([[0, 1, 2]], np.int64), "int64"),
    ("float32", np.array([["a", "b", "c"]]), "text"),
    ("str", np.array([[1, 2, 3]]), "int64"),
    ("float32", np.array([[1j, 2, 3]]), "complex128"),
]


@pytest.mark.parametrize(("wanted", "array", "given"), UNSAFE, ids=lambda v: v if isinstance(v, str) else "")
def test_unsafe_casts_are_refused(npz: Callable[..., str], wanted: str, array: np.ndarray[Any, Any], given: str) -> None:
    assert refusal(npz(x=array), Port("x", wanted, ("N", 3)))[0] == f"input 'x' wants {wanted}, the data has {given}"


def test_text_becomes_str_objects_with_a_steady_digest(npz: Callable[..., str]) -> None:
    data = npz(x=np.array([["a", "bc"]]))
    first, second = (read_examples(data, [Port("x", "str", ("N", 2))]) for _ in range(2))
    assert first.arrays["x"].tolist() == [["a", "bc"]]
    assert first.arrays["x"].dtype == object
    assert first.digest == second.digest
    assert first.digest != read_examples(npz(x=np.array([["a", "bd"]])), [Port("x", "str", ("N", 2))]).digest


def test_groups_by_name_are_numbered_as_they_appear(npz: Callable[..., str]) -> None:
    examples = read_examples(npz(x=np.ones((4, 3), np.float32), groups=np.array(["z", "a", "z", "m"])), [X])
    assert examples.groups is not None
    assert examples.groups.tolist() == [0, 1, 0, 2]


def test_groups_are_one_each(npz: Callable[..., str]) -> None:
    assert refusal(npz(x=np.ones((2, 3), np.float32), groups=np.ones((2, 2))), X)[0] == "'groups' is [2, 2]"


def test_nothing_is_unpickled(npz: Callable[..., str]) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.abort, ()

    data = npz(x=np.array([Trap()], dtype=object))
    assert refusal(data, X)[0] == "it holds an array of Python objects"


def test_a_single_array_is_no_archive(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.ones((2, 3)))
    (tmp_path / "x.npz").write_bytes(stream.getvalue())
    assert refusal(str(tmp_path / "x.npz"), X)[0] == "this is a single array, not an .npz archive"


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped"])
def test_a_damaged_file(npz: Callable[..., str], damage: str) -> None:
    data = npz(x=np.random.default_rng(0).random((50, 3)))
    content = Path(data).read_bytes()
    flipped = bytearray(content)
    flipped[400] ^= 0xFF
    Path(data).write_bytes({"empty": b"", "text": b"hello", "cut": content[:700], "flipped": bytes(flipped)}[damage])
    assert refusal(data, X)[0] == "this is not an .npz archive, or it is damaged or cut short"


def test_a_member_that_is_no_array(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("x", b"not an array")
    refusal(str(tmp_path / "x.npz"), X)


def test_one_value_per_example_that_is_no_input_is_a_column(npz: Callable[..., str]) -> None:
    data = npz(x=np.ones((3, 3), np.float32), brightness=np.arange(3.0), site=np.array(["a", "b", "a"]))
    examples = read_examples(f"{data}[1:]", [X])
    assert {name: column.tolist() for name, column in examples.columns.items()} == {"brightness": [1, 2], "site": ["b", "a"]}
    assert examples.take(np.array([1])).columns["site"].tolist() == ["a"]
    assert read_examples(data, [X]).spread(2).columns["brightness"].tolist() == [0, 2]


@pytest.mark.parametrize("name", ["label", "group", "Labels"])
def test_a_name_misspelt_is_no_column(npz: Callable[..., str], name: str) -> None:
    what, _ = refusal(npz(x=np.ones((2, 3), np.float32), **{name: np.ones(2)}), X)
    assert what == f"array {name!r} is no input of the model"
