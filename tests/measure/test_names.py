"""What tables call several models."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.measure.names import distinguishing_names

PARTS = st.lists(st.sampled_from(["a", "b", "model.onnx"]), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/x/model.onnx"], ["model.onnx"]),
        (["/x/model.onnx", "/x/model.int8.onnx"], ["model.onnx", "model.int8.onnx"]),
        (["/x/a/model.onnx", "/x/b/model.onnx"], ["a/model.onnx", "b/model.onnx"]),
        (["/x/a/c/model.onnx", "/x/b/c/model.onnx", "/x/other.onnx"], ["a/c/model.onnx", "b/c/model.onnx", "other.onnx"]),
        (["/x/model.onnx", "/x/model.onnx"], ["model.onnx (1)", "model.onnx (2)"]),
        (["/model.onnx", "/a/model.onnx"], ["/model.onnx", "a/model.onnx"]),
    ],
)
def test_the_shortest_end_that_tells_them_apart(paths: list[str], names: list[str]) -> None:
    assert distinguishing_names([Path(path) for path in paths]) == tuple(names)


@settings(max_examples=50)
@given(st.lists(PARTS, min_size=1, max_size=5))
def test_names_are_never_alike_and_end_their_paths(paths: list[list[str]]) -> None:
    whole = [Path("/", *parts) for parts in paths]
    names = distinguishing_names(whole)
    assert len(set(names)) == len(names)
    for path, name in zip(whole, names, strict=True):
        assert str(path).endswith(name.partition(" (")[0])


def test_what_is_to_be_compiled_is_told_from_what_is_not() -> None:
    paths = [Path("a/net.safetensors"), Path("/tmp/1/net.compiled.safetensors"), Path("a/net.onnx")]
    assert distinguishing_names(paths) == ("net.safetensors", "net, compiled", "net.onnx")
