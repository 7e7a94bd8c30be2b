"""Distillation's formulas, by hand and against PyTorch's own."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.errors import ModelError

torch = pytest.importorskip("torch")

from optkit.training.distillation import (  # noqa: E402
    attention_loss,
    check_attention,
    hidden_loss,
    soft_target_loss,
    width_axis,
)


def softmax(values: list[float], temperature: float) -> list[float]:
    powers = [math.exp(value / temperature) for value in values]
    return [power / sum(powers) for power in powers]


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=2, max_size=6),
    st.floats(0.5, 10),
)
def test_soft_targets_are_hintons_formula(scores: list[tuple[float, float]], temperature: float) -> None:
    student, teacher = [one for one, _ in scores], [other for _, other in scores]
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    by_hand = temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    found = soft_target_loss(torch.tensor([student]), torch.tensor([teacher]), temperature)
    assert float(found) == pytest.approx(by_hand, abs=1e-3, rel=1e-3)


def test_at_high_temperature_the_gradient_is_that_of_logits_that_are_matched() -> None:
    """Hinton et al., section 2.1: (z - v) / N for scores whose mean is 0, N classes; here divided by the batch too."""
    torch.manual_seed(0)
    student, teacher = (each - each.mean(1, keepdim=True) for each in torch.randn(2, 8, 5, dtype=torch.float64))
    student.requires_grad_()
    found = torch.autograd.grad(soft_target_loss(student, teacher, 100.0), student)[0]
    torch.testing.assert_close(found.double(), ((student - teacher) / 5 / 8).detach(), atol=1e-3, rtol=0)


def test_images_and_sequences_are_held_together_by_position_and_padding_left_out() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    mine, theirs = (each.movedim(1, -1).reshape(-1, 3) for each in (student, teacher))
    torch.testing.assert_close(soft_target_loss(student, teacher, 2.0), soft_target_loss(mine, theirs, 2.0))
    mine, theirs = torch.randn(2, 6, 3), torch.randn(2, 6, 3)
    labels = torch.zeros(2, 6, dtype=torch.int64)
    labels[1, 2:] = -1
    kept = labels.reshape(-1) == 0
    wanted = soft_target_loss(mine.reshape(-1, 3)[kept], theirs.reshape(-1, 3)[kept], 2.0)
    torch.testing.assert_close(soft_target_loss(mine, theirs, 2.0, labels), wanted)


def test_hidden_states_cost_their_share_of_the_teachers_squares() -> None:
    teacher = torch.tensor([[3.0, -4.0]])
    assert float(hidden_loss(torch.zeros(1, 2), teacher)) == pytest.approx(1)
    assert float(hidden_loss(torch.tensor([[3.0, 1.0]]), teacher)) == pytest.approx(25 / 25)
    torch.testing.assert_close(hidden_loss(teacher * 0.9, teacher), hidden_loss(teacher * 900, teacher * 1000))
    assert float(hidden_loss(teacher, teacher)) == 0


def test_attention_maps_are_averaged_over_heads() -> None:
    torch.manual_seed(0)
    student, teacher = torch.softmax(torch.randn(2, 3, 4, 4), -1), torch.softmax(torch.randn(2, 6, 4, 4), -1)
    p, q = teacher.mean(1).numpy(), student.mean(1).numpy()
    assert float(attention_loss(student, teacher)) == pytest.approx(float(np.mean((p * np.log(p / q)).sum(-1))), rel=1e-5)


def test_maps_of_convolutions_are_squares_of_channels_of_length_one() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 3, 4, 4), torch.randn(2, 7, 4, 4)
    one, other = ((each.numpy() ** 2).sum(1).reshape(2, -1) for each in (student, teacher))
    one, other = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (one, other))
    assert float(attention_loss(student, teacher)) == pytest.approx(float(((one - other) ** 2).sum(1).mean()), rel=1e-4)
    assert float(attention_loss(student * 5, student)) == pytest.approx(0, abs=1e-6)


def test_widths_may_differ_and_nothing_else() -> None:
    assert width_axis(torch.zeros(2, 8, 5, 5), torch.zeros(2, 16, 5, 5), "a") == 1
    assert width_axis(torch.zeros(2, 7, 8), torch.zeros(2, 7, 16), "a") == 2
    assert width_axis(torch.zeros(2, 8), torch.zeros(2, 8), "a") is None
    for student, teacher in (((2, 8, 5, 5), (2, 16, 3, 3)), ((2, 8), (2, 8, 1))):
        with pytest.raises(ModelError, match="differ in more than width"):
            width_axis(torch.zeros(student), torch.zeros(teacher), "a")


def test_maps_of_other_resolutions_are_refused() -> None:
    check_attention(torch.rand(2, 3, 4, 4), torch.rand(2, 9, 4, 4), "a")
    with pytest.raises(ModelError, match="do not fit"):
        check_attention(torch.rand(2, 3, 4, 4), torch.rand(2, 3, 2, 2), "a")
