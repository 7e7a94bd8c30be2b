"""What DATA may be, and what is said of anything else."""

from pathlib import Path

import pytest

from optkit.datasets import read_examples
from optkit.datasets._source import parse_source
from optkit.errors import DataError, UsageError
from optkit.runtimes import Port

INPUTS = [Port("x", "float32", ("N", 3))]


@pytest.mark.parametrize(
    ("text", "place", "rows"),
    [
        ("a.npz", "a.npz", slice(None)),
        ("a.npz[:5]", "a.npz", slice(None, 5)),
        ("a.npz[5:]", "a.npz", slice(5, None)),
        ("a.npz[ -5 : ]", "a.npz", slice(-5, None)),
        ("a.npz[::4]", "a.npz", slice(None, None, 4)),
        ("a[1].npz", "a[1].npz", slice(None)),
        ("mine:load[1:9:2]", "mine:load", slice(1, 9, 2)),
    ],
)
def test_a_slice_stands_at_the_end(text: str, place: str, rows: slice) -> None:
    source = parse_source(text)
    assert (source.place, source.rows) == (place, rows)


@pytest.mark.parametrize(("text", "expected"), [("mine.data:load", True), ("a.npz", False), ("C:\\data\\a.npz", False), ("a/b:c", False)])
def test_a_function_is_told_from_a_path(text: str, expected: bool) -> None:
    assert parse_source(text).is_callable is expected


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "digits.npz").touch()
    with pytest.raises(DataError) as caught:
        read_examples(str(tmp_path / "digit.npz[:3]"), INPUTS)
    assert str(caught.value) == (
        f"{tmp_path / 'digit.npz[:3]'}: there is no such file or folder\nhint: did you mean {tmp_path / 'digits.npz'}?"
    )


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file or folder"):
        read_examples(str(tmp_path / "none" / "digits.npz"), INPUTS)


@pytest.mark.parametrize("name", ["x.parquet", "x.txt", "x"])
def test_another_kind_of_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(UsageError) as caught:
        read_examples(str(tmp_path / name), INPUTS)
    assert "this is no data that optkit reads" in str(caught.value)
    assert ".npz" in str(caught.value.hint)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it holds no images"):
        read_examples(str(tmp_path), INPUTS)
