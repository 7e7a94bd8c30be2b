import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from optkit.datasets import read_examples
from optkit.errors import OptkitError, UsageError
from optkit.runtimes import Port

X = Port("x", "float32", ("N", 3))
MODULE = """
import itertools
import numpy as np

rows = 7

def arrays():
    return {"x": np.arange(30.0).reshape(10, 3), "labels": np.arange(10)}

def uneven():
    return {"x": np.ones((10, 3)), "labels": np.arange(9)}

def endless():
    for i in itertools.count():
        yield {"x": np.full((1, 3), i, np.float32), "labels": i}

def whole():
    return [{"x": np.full((4, 3), i, np.float32), "labels": [i, i, i, i], "groups": i // 2} for i in range(6)]

def lists():
    return [[1, 2, 3]]

def number():
    return 3

def nothing():
    return iter(())

def ragged():
    return [{"x": np.ones((1, 3))}, {"x": np.ones((1, 4))}]

def uneven_names():
    return [{"x": np.ones((1, 3))}, {"y": np.ones((1, 3))}]

def broken():
    raise KeyError("lost")

def wants_more(path):
    return {}
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "my_examples.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "my_broken.py").write_text("import no_such_module_anywhere\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    yield
    assert sys.path == before
    for name in ("my_examples", "my_broken"):
        sys.modules.pop(name, None)


def test_arrays_by_name() -> None:
    examples = read_examples("my_examples:arrays[2:8:3]", [X])
    assert examples.arrays["x"].dtype == np.float32
    assert examples.arrays["x"][:, 0].tolist() == [6, 15]
    assert examples.labels is not None
    assert examples.labels.tolist() == [2, 5]


def test_feeds_of_one_row_are_joined() -> None:
    examples = read_examples("my_examples:endless[1:9:2]", [X], needs_labels=True)
    assert not examples.whole
    assert [feed["x"].shape for feed in examples.feeds(3)] == [(3, 3), (1, 3)]
    assert examples.labels is not None
    assert examples.labels.tolist() == [1, 3, 5, 7]


@pytest.mark.parametrize("text", ["-2:", ":-4"])
def test_a_slice_may_count_from_the_end(text: str) -> None:
    assert len(read_examples(f"my_examples:whole[{text}]", [X])) == 2


def test_other_feeds_stay_whole() -> None:
    examples = read_examples("my_examples:whole", [X])
    assert examples.whole
    assert [feed["x"].shape for feed in examples.feeds(4)] == [(4, 3)] * 6
    assert examples.labels is not None
    assert examples.labels.shape == (6, 4)
    assert examples.groups is not None
    assert examples.groups.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("lists", "it yielded list, not a dict"),
        ("number", "it gave int"),
        ("nothing", "it gave no feeds"),
        ("ragged", "'x' is [1, 4] in feed 1, [1, 3] in feed 0"),
        ("uneven", "array 'x' has 10 examples, 'labels' has 9"),
        ("uneven_names", "feed 1 has y, feed 0 has x"),
        ("broken", "it raised KeyError: 'lost'"),
        ("wants_more", "it raised TypeError: wants_more() missing 1 required positional argument: 'path'"),
        ("rows", "it is int, not a function"),
        ("array", "module 'my_examples' has nothing called 'array'"),
    ],
)
def test_what_cannot_be_used(name: str, what: str) -> None:
    with pytest.raises(OptkitError) as caught:
        read_examples(f"my_examples:{name}", [X])
    lines = str(caught.value).splitlines()
    assert lines[0] == f"my_examples:{name}: {what}"
    assert len(lines) == 2


def test_the_nearest_function_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'arrays'"):
        read_examples("my_examples:array", [X])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("no_module_here:load", "there is no module 'no_module_here'"),
        ("my_broken:load", "importing 'my_broken' raised ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
    ],
)
def test_modules_that_cannot_be_imported(text: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_examples(text, [X])
    assert str(caught.value).splitlines()[0] == f"{text}: {what}"


def test_an_endless_generator_is_stopped_by_the_slice() -> None:
    assert len(read_examples("my_examples:endless[:5]", [X])) == len(list(itertools.islice(itertools.count(), 5)))
