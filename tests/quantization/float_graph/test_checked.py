"""Rewrites that change the answers are taken back, on examples and on made-up inputs."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from optkit.datasets import Examples
from optkit.quantization.float_graph import checked as checking
from optkit.quantization.float_graph import prepare as preparing
from optkit.quantization.float_graph.checked import prepare_checked, prepare_tried
from optkit.quantization.float_graph.prepare import prepare
from optkit.quantization.graphs import add_constant, add_node, constant_array

from ..tiny import Feed, answers, draw, examples, read, saved

MASKED = "(float[2,5] s, float[2,5] m) => (float[2,4] y) { i = Sub(one, m) k = Mul(i, low) a = Add(s, k) p = Softmax(a) y = MatMul(p, v) }"
SHARP = "(float[2,5] s, float[2,5] m) => (float[2,5] y) { a = Mul(s, low) b = Add(a, m) y = Softmax(b) }"


def checked(model: ir.Model, folder: Path, *feeds: Feed) -> ir.Model:
    path = folder / "original.onnx"
    path.write_bytes(saved(model))
    return prepare_checked(path, model, feeds, "cpu", 1).model


def scalars(model: ir.Model) -> list[float]:
    arrays = [constant_array(v) for v in model.graph.initializers.values()]
    return [float(a) for a in arrays if a is not None and a.size == 1]


def test_masks_are_softened_where_the_answers_stay(tmp_path: Path) -> None:
    model = read(MASKED, one=1.0, low=-1e9, v=draw(5, 4))
    feed = {"s": draw(2, 5), "m": np.array([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], np.float32)}
    ready = checked(model, tmp_path, feed)
    assert -60 in scalars(ready)
    np.testing.assert_allclose(answers(ready, feed)["y"], answers(model, feed)["y"], atol=1e-6)


def test_what_only_looked_like_a_mask_is_given_back(tmp_path: Path) -> None:
    model = read(SHARP, low=-2000.0)
    feed = {"s": draw(2, 5) * 1e-2, "m": draw(2, 5)}
    assert -60 in scalars(prepare(model).model)
    ready = checked(model, tmp_path, feed)
    assert scalars(ready) == [-2000]
    np.testing.assert_allclose(answers(ready, feed)["y"], answers(model, feed)["y"], rtol=1e-4)


def spoil(how: str) -> Callable[[ir.Model], ir.Model]:
    def simplify(model: ir.Model, but: Sequence[str] = ()) -> ir.Model:
        made = model.clone()
        tensor = made.graph.initializers["w"].const_value
        assert tensor is not None
        if how == "wrong":
            made.graph.initializers["w"].const_value = ir.tensor(tensor.numpy() * np.float32(1.01), name="w")
        else:
            made.graph.initializers["w"].const_value = ir.tensor(tensor.numpy()[:3], name="w")
        return made

    return simplify


@pytest.mark.parametrize("how", ["wrong", "broken"])
def test_a_rewrite_that_changes_the_answers_is_not_used(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "simplify", spoil(how))
    model = read("(float[N,8] x) => (float[N,8] y) { y = MatMul(x, w) }", w=draw(8, 8))
    feed = {"x": draw(2, 8, seed=2)}
    np.testing.assert_array_equal(answers(checked(model, tmp_path, feed), feed)["y"], answers(model, feed)["y"])


def tried(model: ir.Model, examples: Examples | None) -> ir.Model:
    return prepare_tried(model, examples, "cpu", 1, 0).model


def test_what_only_looks_like_a_mask_shows_on_made_up_inputs_too() -> None:
    model = read(SHARP, low=-2000.0)
    assert scalars(tried(model, None)) == [-2000]


def test_masks_are_softened_where_examples_show_that_the_answers_stay() -> None:
    model = read(MASKED, one=1.0, low=-1e9, v=draw(5, 4))
    masks = np.tile(np.array([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], np.float32), (3, 1))
    assert -60 in scalars(tried(model, examples(s=draw(6, 5), m=masks)))


@pytest.mark.parametrize("given", [True, False])
def test_a_rewrite_that_changes_the_answers_is_not_used_by_single_passes(given: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "simplify", spoil("wrong"))
    model = read("(float[N,8] x) => (float[N,8] y) { y = MatMul(x, w) }", w=draw(8, 8))
    feed = {"x": draw(2, 8, seed=2)}
    ready = tried(model, examples(x=draw(20, 8, seed=3)) if given else None)
    np.testing.assert_array_equal(answers(ready, feed)["y"], answers(model, feed)["y"])


def test_masks_stay_where_nothing_can_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "trial_feeds", lambda *_, **__: [])
    model = read(MASKED, one=1.0, low=-1e9, v=draw(5, 4))
    assert -60 not in scalars(tried(model, None))


def make_slow(model: ir.Model) -> None:
    """Hundreds of products that change nothing."""
    product = next(n for n in model.graph if n.op_type == "MatMul")
    for _ in range(400):
        same = add_constant(model.graph, "same", np.eye(8, dtype=np.float32))
        product.replace_input_with(0, add_node(product, "MatMul", [product.inputs[0], same], "again").outputs[0])


@pytest.mark.parametrize("single", [True, False])
def test_a_rewrite_that_takes_longer_is_left_out(single: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "REWRITES", (*preparing.REWRITES, make_slow))
    monkeypatch.setattr(checking, "STEPS", ("settle_reshapes", "make_slow") if single else ("settle_reshapes",))
    model = read("(float[N,8] x) => (float[N,8] y) { i = Identity(x) y = MatMul(i, w) }", w=draw(8, 8))
    feed = {"x": draw(2, 8, seed=2)}
    ready = checked(model, tmp_path, feed)
    assert [n.op_type for n in ready.graph] == (["MatMul"] if single else ["Identity", "MatMul"])
    np.testing.assert_allclose(answers(ready, feed)["y"], answers(model, feed)["y"], rtol=1e-5)
