"""Rounding while training: the integers of ONNX QuantizeLinear and of the portable rule, and the gradients of LSQ."""

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.quantization.affine import Grid
from optkit.quantization.integer_graph.saturation import LARGEST_PAIR, fit_pairs

torch = pytest.importorskip("torch")

from optkit.training.graph.fake_quantization import Scale, fake_quantize, pull_in, round_to  # noqa: E402


@given(st.floats(1e-3, 1), st.integers(0, 255), st.integers(0, 2**32 - 1))
def test_it_rounds_as_quantize_linear_does(scale: float, zero: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(0, 100 * scale, 50).astype(np.float32)
    values[:4] = np.float32(scale) * np.array([0.5, 1.5, 2.5, -0.5], np.float32)  # ties go to even
    grid = Grid(float(np.float32(scale)), zero)
    found = fake_quantize(torch.from_numpy(values), torch.tensor(np.float32(scale)), -zero, 255 - zero)
    assert np.array_equal(found.numpy(), grid.round_trip(values))


@given(st.integers(2, 4), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_pairs_are_pulled_in_as_the_portable_rule_does(rows: int, columns: int, seed: int) -> None:
    """Integers that were moved from where they were nearest keep their scale in `fit_pairs`: then both do the same thing."""
    rng = np.random.default_rng(seed)
    steps = rng.uniform(-127, 127, (rows, columns)).astype(np.float32)
    node = ir.node("Gemm", [ir.val("x"), ir.val("w")], {"transB": 1})
    integers = np.clip(np.rint(steps), -127, 127).astype(np.int8)
    wanted, _ = fit_pairs(node, steps, integers, np.array(1, np.float32))  # one scale for all: it cannot widen
    found = pull_in(torch.from_numpy(integers.astype(np.float32)), torch.from_numpy(steps)).numpy()
    assert np.array_equal(found, wanted.astype(np.float32))
    pairs = np.pad(found, ((0, 0), (0, columns % 2)))
    assert (np.abs(pairs[:, 0::2] + pairs[:, 1::2]) <= LARGEST_PAIR).all()


def test_gradients_are_those_of_learned_step_sizes() -> None:
    x = torch.tensor([0.3, 1.4, -5.0, 9.0], requires_grad=True)
    scale = torch.tensor(1.0, requires_grad=True)
    fake_quantize(x, scale, -2, 3).backward(torch.tensor([1.0, 10.0, 100.0, 1000.0]))
    assert x.grad is not None
    assert x.grad.tolist() == [1, 10, 0, 0]
    assert scale.grad is not None
    assert float(scale.grad) == pytest.approx(1 * -0.3 + 10 * -0.4 + 100 * -2 + 1000 * 3)


def test_a_scale_for_each_channel_gets_a_gradient_for_each() -> None:
    x, scale = torch.randn(3, 4), torch.tensor([[0.1], [0.2], [0.3]], requires_grad=True)
    fake_quantize(x, scale, -127, 127).sum().backward()
    assert scale.grad is not None
    assert scale.grad.shape == (3, 1)


def test_a_scale_changes_by_shares_and_may_be_kept_from_growing() -> None:
    free, held = (Scale(torch.tensor(0.5), learned=True, grows=grows) for grows in (True, False))
    assert free().item() == 0.5
    for scale in (free, held):
        assert scale.change is not None
        with torch.no_grad():
            scale.change.fill_(np.log(2))
    assert (free().item(), held().item()) == (pytest.approx(1.0), 0.5)
    assert not any(each.requires_grad for each in Scale(torch.tensor(0.5), learned=False).tensors().values())


def test_integers_are_whole_and_within_their_range() -> None:
    found = round_to(torch.randn(100) * 300, torch.tensor(1.0), -127, 127)
    assert torch.equal(found, found.round())
    assert float(found.abs().max()) <= 127
