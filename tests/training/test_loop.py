"""The loop: it learns, keeps the best, comes out the same again, goes on where it was, and says what goes wrong."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optkit.datasets import Examples
from optkit.errors import DataError, ModelError, OptkitError, UsageError
from optkit.progress import Progress, silent

torch = pytest.importorskip("torch")

from optkit.training import TrainingParameters, loop, train  # noqa: E402
from optkit.training.holding_out import hold_out  # noqa: E402
from optkit.training.losses import label_loss  # noqa: E402

DICE = np.random.default_rng(0)
X = DICE.standard_normal((200, 6)).astype(np.float32)
EXAMPLES = Examples("made", {"x": X}, (X @ DICE.standard_normal((6, 3))).argmax(1))
LOSS = label_loss(None, None)


@dataclass
class Job:
    device: str = "cpu"
    seed: int = 0
    progress: Progress = silent
    kept: Path | None = None
    told: list[str] = field(default_factory=list)


def how(**changes: Any) -> TrainingParameters:
    return TrainingParameters(**{"epochs": 3, "batch_size": 32, "learning_rate": 0.02, "training_threads": 1, **changes})


def net(dropout: float = 0.2, norm: bool = True) -> Any:
    torch.manual_seed(0)
    inner = [torch.nn.BatchNorm1d(16)] if norm else []
    return torch.nn.Sequential(torch.nn.Linear(6, 16), *inner, torch.nn.ReLU(), torch.nn.Dropout(dropout), torch.nn.Linear(16, 3))


def same(one: Any, other: Any) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def test_it_learns_and_says_how() -> None:
    told: list[tuple[str, int, int]] = []
    module = net()
    outcome = train(module, LOSS, EXAMPLES, how(), Job(progress=lambda *said: told.append(said)))
    assert [epoch.number for epoch in outcome.epochs] == [0, 1, 2, 3]
    assert (outcome.metric, outcome.learned_from, outcome.held_out) == ("top1", 180, 20)
    assert outcome.before is not None
    assert outcome.after is not None
    assert outcome.after > outcome.before + 0.2
    assert not module.training
    assert told[-1][1:] == (18, 18)
    assert told[-1][0].startswith("epoch 3 of 3, loss 0.")
    assert ", top1 0." in told[-1][0]


def test_one_step_of_sgd_is_the_textbooks() -> None:
    """Everything in one batch, no decay, no rise: w - rate · gradient, with momentum still at rest (Nesterov: 1 + 0.9 of it)."""
    module, by_hand = net(0, norm=False), net(0, norm=False)
    train(module, LOSS, EXAMPLES, how(epochs=1, batch_size=200, validation=0, optimizer="sgd", warmup=0, weight_decay=0), Job())
    torch.nn.functional.cross_entropy(by_hand(torch.from_numpy(X)), torch.from_numpy(np.asarray(EXAMPLES.labels))).backward()
    for trained, before in zip(module.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(trained, before - 0.02 * 1.9 * before.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("parts", [2, 5])
def test_a_batch_in_parts_is_the_same_batch(parts: int) -> None:
    one, other = net(0, norm=False), net(0, norm=False)
    train(one, LOSS, EXAMPLES, how(), Job())
    train(other, LOSS, EXAMPLES, how(accumulate=parts), Job())
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_the_seed_decides_everything_and_leaves_the_callers_chance_alone() -> None:
    one, same_seed, other = net(), net(), net()
    torch.manual_seed(7)
    before = torch.get_rng_state()
    train(one, LOSS, EXAMPLES, how(), Job())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    train(same_seed, LOSS, EXAMPLES, how(), Job())
    train(other, LOSS, EXAMPLES, how(), Job(seed=1))
    assert same(one, same_seed)
    assert not same(one, other)


def test_the_best_epoch_is_kept_and_training_stops_when_nothing_gets_better() -> None:
    module = net(0)
    seen: list[int] = []
    outcome = train(module, LOSS, EXAMPLES, how(epochs=30, patience=2, learning_rate=0.3, optimizer="sgd"), Job(), before_epoch=seen.append)
    ranks = [(epoch.score or 0.0, -(epoch.validation_loss or 0.0)) for epoch in outcome.epochs]
    assert ranks.index(max(ranks)) == outcome.best
    assert outcome.stopped_early == (len(seen) < 30)
    assert outcome.stopped_early
    assert len(seen) == outcome.best + 2
    held = hold_out(EXAMPLES, 0.1, 0)[1]
    with torch.no_grad():
        answers = module(torch.from_numpy(X[held])).argmax(1).numpy()
    assert np.mean(answers == np.asarray(EXAMPLES.labels)[held]) == pytest.approx(outcome.after)


def test_a_training_that_only_harms_leaves_the_start() -> None:
    module = net(0)
    train(module, LOSS, EXAMPLES, how(epochs=10), Job())
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    backwards = train(module, lambda answers, batch: -LOSS(answers, batch), EXAMPLES, how(epochs=1, metric="top1"), Job())
    assert backwards.best == 0
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    from_one = train(module, lambda answers, batch: -LOSS(answers, batch), EXAMPLES, how(epochs=1, metric="top1"), Job(), choose_from=1)
    assert from_one.best == 1


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("at", [3, 6, 8, 17])
def test_what_was_interrupted_goes_on_and_ends_with_the_same_bits(at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "KEPT_EVERY", -1.0)

    def stop(step: int, steps: int) -> None:
        if step == at:
            raise Interrupted

    whole, halves = net(), net()
    told = train(whole, LOSS, EXAMPLES, how(), Job())
    with pytest.raises(Interrupted):
        train(halves, LOSS, EXAMPLES, how(), Job(kept=tmp_path / "key"), after_step=stop)
    assert (tmp_path / "key" / "training.pt").is_file()
    anew = net(0.2)
    resumed = train(anew, LOSS, EXAMPLES, how(), Job(kept=tmp_path / "key"))
    assert same(whole, anew)
    assert resumed.resumed_at is not None
    assert resumed.epochs == told.epochs
    assert not (tmp_path / "key").exists(), "a training that is done leaves nothing"


def test_a_damaged_or_foreign_checkpoint_is_no_reason_to_fail(tmp_path: Path) -> None:
    whole, anew = net(), net()
    train(whole, LOSS, EXAMPLES, how(), Job())
    (tmp_path / "training.pt").write_bytes(b"half a file")
    train(anew, LOSS, EXAMPLES, how(), Job(kept=tmp_path))
    assert same(whole, anew)


def test_a_loss_that_is_no_number_stops_at_once_and_names_the_checkpoint(tmp_path: Path) -> None:
    count = 0

    def soon_lost(answers: Any, batch: Any) -> Any:
        nonlocal count
        count += torch.is_grad_enabled()
        return LOSS(answers, batch) * (float("nan") if count == 8 else 1.0)

    with pytest.raises(OptkitError, match="the loss became nan in epoch 2, step 2 of 6") as caught:
        train(net(), soon_lost, EXAMPLES, how(), Job(kept=tmp_path))
    hint = str(caught.value.hint)
    assert "lower learning_rate, which is 0.02" in hint
    place = tmp_path / "training.pt"
    assert str(place) in hint
    kept = torch.load(place, weights_only=True)
    assert kept["position"] == [2, 0]
    assert all(torch.isfinite(tensor.float()).all() for tensor in kept["model"].values())


@pytest.mark.parametrize("held", [True, False])
def test_an_example_that_is_no_number_is_named(held: bool) -> None:
    learned, out = hold_out(EXAMPLES, how().validation, 0)
    broken = X.copy()
    row = int(out[3] if held else learned[7])
    broken[row, 2] = np.nan
    with pytest.raises(DataError, match=f"example {row} holds values that are no finite numbers in 'x'"):
        train(net(), LOSS, Examples("made", {"x": broken}, EXAMPLES.labels), how(), Job())


def test_a_gradient_that_is_no_number_stops_before_it_harms(tmp_path: Path) -> None:
    with pytest.raises(OptkitError, match=r"the gradient became (nan|inf)"):
        train(net(norm=False), lambda a, b: (a["output"] * 0).abs().sqrt().sum(), EXAMPLES, how(), Job())


def test_long_gradients_are_cut() -> None:
    short, long = net(0, norm=False), net(0, norm=False)
    options = {"epochs": 1, "batch_size": 200, "validation": 0, "optimizer": "sgd", "warmup": 0, "weight_decay": 0}
    start = torch.nn.utils.parameters_to_vector(short.parameters()).detach().clone()
    train(short, LOSS, EXAMPLES, how(**options, max_gradient=0.01), Job())
    train(long, lambda a, b: 1000 * LOSS(a, b), EXAMPLES, how(**options, max_gradient=0.01), Job())
    moved = [torch.nn.utils.parameters_to_vector(each.parameters()).detach() - start for each in (short, long)]
    assert float(moved[0].norm()) == pytest.approx(0.02 * 1.9 * 0.01, rel=1e-3)
    torch.testing.assert_close(*moved, rtol=1e-3, atol=1e-7)


def test_what_cannot_be_trained_is_told() -> None:
    with pytest.raises(ModelError, match="nothing in it can be trained"):
        train(torch.nn.ReLU(), LOSS, EXAMPLES, how(), Job())
    with pytest.raises(ModelError, match="it fails while training: RuntimeError"):
        train(torch.nn.Linear(5, 3), LOSS, EXAMPLES, how(), Job())
    with pytest.raises(ModelError, match="Expected more than 1 value per channel") as caught:
        train(net(), LOSS, EXAMPLES, how(batch_size=1), Job())
    assert "larger batch_size" in str(caught.value.hint)
    with pytest.raises(DataError, match="too few to train on"):
        train(net(), LOSS, EXAMPLES.take(slice(5)), how(), Job())
    with pytest.raises(UsageError, match="CPUs do not train in fp16"):
        train(net(), LOSS, EXAMPLES, how(mixed_precision="fp16"), Job())
    with pytest.raises(UsageError, match="PyTorch does not train on openvino"):
        train(net(), LOSS, EXAMPLES, how(), Job(device="openvino"))


def test_it_learns_in_bfloat16_where_that_is_asked_for() -> None:
    outcome = train(net(), LOSS, EXAMPLES, how(mixed_precision="bf16"), Job())
    assert outcome.precision == "bf16"
    assert (outcome.after or 0) > (outcome.before or 0)


def test_examples_that_are_whole_feeds_go_one_by_one() -> None:
    whole = Examples("made", {"x": X[:40, None, :]}, np.asarray(EXAMPLES.labels)[:40, None], whole=True)
    outcome = train(net(0, norm=False), LOSS, whole, how(batch_size=8, epochs=2), Job())
    assert outcome.metric == "loss"
    assert (outcome.after or 9) < (outcome.before or 0)


def test_a_loss_with_parameters_of_its_own_trains_them() -> None:
    class Scaled(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, answers: Any, batch: Any) -> Any:
            return LOSS({"output": answers["output"] * self.scale}, batch)

    loss = Scaled()
    train(net(), loss, EXAMPLES, how(), Job())
    assert float(loss.scale.detach()) != 1.0


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no NVIDIA GPU")
@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_it_learns_on_a_gpu_in_each_format(precision: str) -> None:
    module = net()
    outcome = train(module, LOSS, EXAMPLES, how(mixed_precision=precision), Job(device="cuda"))
    assert outcome.precision == precision
    assert outcome.before is not None
    assert outcome.after is not None
    assert outcome.after > outcome.before + 0.2
    assert all(torch.isfinite(value).all() for value in module.state_dict().values())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no NVIDIA GPU")
def test_a_gpu_chooses_bfloat16_by_itself_where_it_has_it() -> None:
    outcome = train(net(), LOSS, EXAMPLES, how(), Job(device="cuda"))
    assert outcome.precision == ("bf16" if torch.cuda.is_bf16_supported() else "fp16")
