"""What an output is."""

import numpy as np
import pytest

from optkit.quantization.fidelity.output_forms import adds_up, are_amounts, class_axis, ends_of, form_of, holds_scores, is_many_scores

from ..tiny import draw, read


@pytest.mark.parametrize(
    ("graph", "form", "ends"),
    [
        ("y = Sigmoid(x)", "Sigmoid", {"Sigmoid"}),
        ("s = Softmax(x) y = Identity(s)", "Softmax", {"Softmax"}),
        ("h = Cast<to = 10>(x) s = Sigmoid(h) y = Cast<to = 1>(s)", "Sigmoid", {"Sigmoid"}),
        ("s = Sigmoid(x) y = Transpose<perm=[0,2,1]>(s)", "Transpose", {"Sigmoid"}),
        ("s = Sigmoid(x) y = Concat<axis=1>(x, s)", "Concat", {"", "Sigmoid"}),
        ("s = Sigmoid(x) t = Sigmoid(s) y = Concat<axis=1>(t, s)", "Concat", {"Sigmoid"}),
    ],
)
def test_what_shaped_it_and_what_it_is_put_together_from(graph: str, form: str, ends: set[str]) -> None:
    value = read(f"(float[1,4,5] x) => (float[A,B,C] y) {{ {graph} }}").graph.outputs[0]
    assert form_of(value) == form
    assert ends_of(value) == ends
    assert holds_scores(value) is (ends == {"", "Sigmoid"})
    assert is_many_scores(value, draw(1, 4, 5)) is (ends == {"Sigmoid"})
    assert not is_many_scores(value, draw(1, 5))


@pytest.mark.parametrize(
    ("shape", "answer", "many"),
    [("N,10", (1, 10), False), ("N,C", (1, 1), False), ("N", (1,), False), ("N,T", (1, 40), True), ("T", (40,), True)],
)
def test_yes_or_no_for_every_place_of_an_axis_of_any_length_but_not_for_every_class(
    shape: str, answer: tuple[int, ...], many: bool
) -> None:
    value = read(f"(float[{shape}] x) => (float[{shape}] y) {{ y = Sigmoid(x) }}").graph.outputs[0]
    assert is_many_scores(value, draw(*answer)) is many


@pytest.mark.parametrize(("shape", "axis"), [("T", None), ("10", -1)])
def test_a_vector_of_any_length_holds_no_classes(shape: str, axis: int | None) -> None:
    value = read(f"(float[{shape}] x) => (float[{shape}] y) {{ y = Relu(x) }}").graph.outputs[0]
    assert class_axis(value, 1) == axis


def test_branches_that_agree_shape_it() -> None:
    model = read(
        """(bool c, float[1,4,5] x) => (float[A,B,C] y) {
            y = If(c) <then_branch = yes () => (float[A,B,C] p) { p = Sigmoid(x) },
                       else_branch = no () => (float[A,B,C] q) { q = Sigmoid(x) }> }"""
    )
    assert form_of(model.graph.outputs[0]) == "Sigmoid"


@pytest.mark.parametrize(
    ("graph", "rank", "axis"),
    [
        ("y = Relu(x)", 2, -1),
        ("y = Relu(x)", 3, -1),
        ("y = Relu(x)", 4, None),  # a picture, features, or logits: nothing tells
        ("y = Relu(x)", 5, None),
        ("y = Softmax<axis=1>(x)", 4, -3),
        ("y = Softmax<axis=-1>(x)", 4, -1),
        ("y = Softmax<axis=1>(x)", 3, -2),
        ("s = Softmax<axis=1>(x) y = Cast<to = 1>(s)", 4, -3),
        ("y = Tanh(x)", 2, None),
        ("t = Tanh(x) y = Transpose(t)", 3, None),
        ("y = Relu(x)", 0, None),
    ],
)
def test_along_which_axis_answers_lie(graph: str, rank: int, axis: int | None) -> None:
    model = read(f"(float[A,B,C,D] x) => (float[E,F,G,H] y) {{ {graph} }}")
    assert class_axis(model.graph.outputs[0], rank) == axis


@pytest.mark.parametrize(
    ("values", "adds"),
    [
        ([[0.2, 0.8]], True),
        ([[0.2, 0.7]], False),
        ([[1.0]], False),
        ([[-0.2, 1.2]], False),
        ([[np.nan, 1.0]], False),
        (np.float32(1), False),
    ],
)
def test_shares_add_up_to_one(values: object, adds: bool) -> None:
    assert adds_up(np.asarray(values, np.float32)) is adds


def test_grades_are_amounts_and_logits_are_not() -> None:
    grades = 3 + draw(20, 3, scale=0.4)
    assert are_amounts(grades)
    assert not are_amounts(grades[:9])  # of few examples all may be positive by chance
    for other in (grades - 3, grades / 9, grades.astype(int)):
        assert not are_amounts(other)
