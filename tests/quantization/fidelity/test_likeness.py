import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import parser

from optkit.datasets import Examples
from optkit.quantization.fidelity.likeness import trial_feeds, try_both
from optkit.runtimes import open_session

SQUARE = "(float[N,4] x) => (float[N,4] y) { h = Mul(x, x) y = Add(h, h) }"


def write(folder: Path, name: str, graph: str) -> Path:
    path = folder / f"{name}.onnx"
    onnx.save(parser.parse_model(f'<ir_version: 8, opset_import: ["" : 15]> g {graph}'), path)
    return path


def test_the_same_in_other_words_is_alike(tmp_path: Path) -> None:
    other = "(float[N,4] x) => (float[N,4] y) { h = Add(x, x) y = Mul(h, x) }"
    found = try_both(write(tmp_path, "first", SQUARE), write(tmp_path, "other", other), None)
    assert (found.on, found.difference) == ("8 made-up inputs", None)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ("(float[N,4] x) => (float[N,4] y) { h = Sub(x, x) y = Mul(h, x) }", "is off by"),
        ("(float[N,4] x) => (float[M,4] y) { y = Concat<axis = 0>(x, x) }", r"is float32\[4, 4\] in place of float32\[2, 4\]"),
        ("(float[N,4] x) => (float[N,4] y) { h = Sub(x, x) y = Div(h, h) }", "NaN or infinity"),
        ("(float[N,4] x) => (float[N,4] z) { z = Add(x, x) }", "output 'y' is missing"),
        ("(float[N,5] x) => (float[N,5] y) { y = Add(x, x) }", "it does not run"),
        ("(float[N,4] x) => (float[N,4] y) { y = their.Magic(x) }", "it does not load"),
    ],
)
def test_the_first_difference_is_named(tmp_path: Path, other: str, says: str) -> None:
    found = try_both(write(tmp_path, "first", SQUARE), write(tmp_path, "other", other), None)
    assert found.difference is not None
    assert re.search(says, found.difference)


def test_examples_are_used_where_given(tmp_path: Path) -> None:
    """On made-up inputs these two are alike: they differ above 100 only."""
    first = write(tmp_path, "first", "(float[N,4] x) => (float[N,4] y) { y = Identity(x) }")
    other = write(tmp_path, "other", "(float[N,4] x) => (float[N,4] y) { h = Constant<value = float {100.0}>() y = Min(x, h) }")
    assert try_both(first, other, None).difference is None
    found = try_both(first, other, Examples("data", {"x": np.full((3, 4), 200, np.float32)}))
    assert found.on == "3 examples"
    assert found.difference is not None


def test_a_random_model_cannot_be_checked(tmp_path: Path) -> None:
    path = write(tmp_path, "random", "(float[N,4] x) => (float[N,4] y) { y = RandomNormalLike(x) }")
    assert try_both(path, path, None).on == "nothing: the model answers at random"


def test_text_inputs_are_not_made_up(tmp_path: Path) -> None:
    path = write(tmp_path, "text", "(string[N] x) => (string[N] y) { y = Identity(x) }")
    assert try_both(path, path, None).on.startswith("nothing: no examples were given")


@pytest.mark.parametrize(
    ("graph", "shapes"),
    [
        ("(float[a,8] p, float[b,a] q) => (float[b,8] y) { y = MatMul(q, p) }", {"p": (2, 8), "q": (2, 2)}),
        ("(float[2,b,3] p, float[b,n] q) => (float[2,b,3] y) { y = Relu(p) }", {"p": (2, 2, 3), "q": (2, 16)}),
        (
            "(float[n,3,h,w] p) => (float[n,1,y,x] y) { k = Constant<value = float[1,3,1,1] {1.0,1.0,1.0}>() y = Conv(p, k) }",
            {"p": (2, 3, 16, 16)},
        ),
    ],
)
def test_made_up_inputs_fit_the_model(tmp_path: Path, graph: str, shapes: dict[str, tuple[int, ...]]) -> None:
    feeds = trial_feeds(open_session(write(tmp_path, "model", graph)), None)
    assert {name: array.shape for name, array in feeds[0].items()} == shapes
    assert any((feeds[0][name] != feeds[1][name]).any() for name in shapes)


def test_indices_stay_in_a_small_table(tmp_path: Path) -> None:
    graph = "(int64[n,s] i) => (float[n,s,1] y) { t = Constant<value = float[3,1] {1.0,2.0,3.0}>() y = Gather(t, i) }"
    assert len(trial_feeds(open_session(write(tmp_path, "table", graph)), None)) == 8


def test_indices_that_only_few_inputs_hold_are_found_too_large(tmp_path: Path) -> None:
    """Of 16 indices below 50, about a third of the feeds hold the one that a table of 49 rows does not have."""
    graph = (
        "(int64[1, 16] i) => (float[1, 16, 2] y) { z = Constant<value = float[49, 2] {"
        + ", ".join(["0.5"] * 98)
        + "}>() y = Gather(z, i) }"
    )
    path = write(tmp_path, "table", graph)
    session = open_session(path)
    feeds = trial_feeds(session, None)
    assert len(feeds) == 8
    for feed in feeds:
        session.run(feed)
