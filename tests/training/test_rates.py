"""The learning rate over a training, against PyTorch's own schedules."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.training.rates import rate_at


@given(st.integers(1, 500), st.floats(0, 0.9))
def test_it_rises_in_equal_parts_and_then_only_falls(steps: int, warmup: float) -> None:
    rates = [rate_at(step, steps, warmup) for step in range(steps)]
    rising = math.ceil(warmup * steps)
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[:rising] == pytest.approx([(i + 1) / rising for i in range(rising)])
    assert all(a >= b for a, b in zip(rates[rising:], rates[rising + 1 :], strict=False))


def test_without_a_rise_it_is_pytorchs_cosine() -> None:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40)
    for step in range(40):
        assert rate_at(step, 40, 0) == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        schedule.step()
