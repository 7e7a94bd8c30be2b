"""The loop: batches, steps, epochs, and the best of them."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optkit.datasets import Array, Examples
from optkit.errors import DataError, ModelError, OptkitError
from optkit.pruning.torch_weights import hold_zeros
from optkit.training.answering import answer_with
from optkit.training.batches import Augment, Batch, batches_of, make_batch, no_numbers_in, parts_of
from optkit.training.changing import make_optimizer, set_rate
from optkit.training.checkpoint import Checkpoint
from optkit.training.holding_out import hold_out
from optkit.training.lengths import lengths_of
from optkit.training.outcome import Epoch, TrainingOutcome
from optkit.training.parameters import TrainingParameters
from optkit.training.precision import Precision
from optkit.training.processes import Team, average_gradients
from optkit.training.rates import rate_at
from optkit.training.reproducible import start_randomness
from optkit.training.validating import Judge, Loss, choose_metric

if TYPE_CHECKING:
    import torch

    from optkit.training import Job

KEPT_EVERY = 60.0
"""Seconds between checkpoints within an epoch: so much work is lost at most."""


class Run:
    """One training of one module, from its beginning or from a checkpoint."""

    choose_from: int = 0
    before_epoch: Callable[[int], None] | None = None
    after_step: Callable[[int, int], None] | None = None
    zeros: Iterable[str] = ()

    def __init__(
        self,
        module: "torch.nn.Module",
        loss: Loss,
        examples: Examples,
        how: TrainingParameters,
        job: "Job",
        team: Team,
        device: str,
        outputs: tuple[str, ...],
        augment: Augment | None,
        checkpoint: Checkpoint,
    ) -> None:
        self.module, self.loss, self.examples, self.how, self.job = module.to(device), loss, examples, how, job
        if hasattr(loss, "to"):
            loss.to(device)
        self.team, self.device, self.outputs, self.augment, self.checkpoint = team, device, outputs, augment, checkpoint
        self.learned, held = hold_out(examples, how.validation, job.seed)
        self.lengths = lengths_of(examples, how.mask)
        self.judge = Judge(examples, held, self._metric(held) if len(held) else None)
        self.precision = Precision(how.mixed_precision, device)
        self.optimizer = make_optimizer(self._trained(), how)
        self.steps = len(self._batches(0))
        self.epoch, self.step, self.total = 1, 0, 0.0
        self.history: list[Epoch] = []
        self.best, self.best_weights = 0, dict[str, Any]()
        self.seconds, self.started = 0.0, time.monotonic()
        self.resumed_at: int | None = None

    def to_the_end(self) -> TrainingOutcome:
        self._begin()
        self.keep_zeros = hold_zeros(self.module, self.zeros)
        while self.epoch <= self.how.epochs and not self._in_vain:
            self._train_epoch()
            self._finish_epoch()
        if self.best_weights:
            self.module.load_state_dict(self.best_weights)
        self._align()
        self.module.eval().to("cpu")
        if self.team.rank == 0:
            self.checkpoint.drop()
        return TrainingOutcome(
            epochs=tuple(self.history),
            best=self.best,
            metric=self.judge.metric.name if self.judge.metric else "loss",
            higher_is_better=self.judge.higher_is_better,
            learned_from=len(self.learned),
            held_out=len(self.judge.rows),
            seconds=self._elapsed,
            stopped_early=self.epoch <= self.how.epochs,
            resumed_at=self.resumed_at,
            precision=self.precision.word,
            processes=self.team.size,
        )

    def _begin(self) -> None:
        """From the checkpoint, where there is one that fits; else from the state that the module is in."""
        state = self.team.share(self.checkpoint.read() if self.team.rank == 0 else None)
        if state is not None and _sizes(state["model"]) == _sizes(self.module.state_dict()):
            self._restore(state)
        else:
            self._align()
            self._judge(0, None)

    def _align(self) -> None:
        """All processes hold what the first one holds."""
        self.team.align([*self.module.parameters(), *self.module.buffers(), *self._own_parameters])

    @property
    def _own_parameters(self) -> "list[torch.nn.Parameter]":
        """What a loss has of its own, such as projections."""
        return list(self.loss.parameters()) if hasattr(self.loss, "parameters") else []

    def _train_epoch(self) -> None:
        self.module.train()
        if self.before_epoch is not None:
            self.before_epoch(self.epoch)
        kept = time.monotonic()
        batches = self._batches(self.epoch)
        for rows in batches[self.step :]:
            self.total += self._change(rows) * len(rows)
            self.step += 1
            done = (self.epoch - 1) * self.steps + self.step
            if self.after_step is not None:
                self.after_step(done, self.how.epochs * self.steps)
            self.job.progress(self._told, done, self.how.epochs * self.steps)
            if time.monotonic() - kept > KEPT_EVERY and self.step < self.steps:
                self._keep()
                kept = time.monotonic()

    def _batches(self, epoch: int) -> list[Array]:
        return batches_of(self.learned, self.how.batch_size, self.job.seed, epoch, self.lengths)

    def _change(self, rows: Array) -> float:
        """One optimizer step; the mean loss over the batch, all processes together."""
        import torch

        start_randomness(self.job.seed, self.epoch, self.step, self.team.rank)
        self.optimizer.zero_grad(set_to_none=True)
        mine, total = np.array_split(rows, self.team.size)[self.team.rank], 0.0
        for part in parts_of(mine, self.how.accumulate, self.examples.whole):
            batch = make_batch(self.examples, part, self.device, self.augment, self.how.mask)
            loss = self._loss(self._answer(batch), batch)
            share = len(part) / len(rows) * self.team.size  # the mean over processes divides by their number
            self.precision.scaler.scale(loss * share).backward()
            total += float(loss.detach()) * share
        total = float(self.team.mean(torch.tensor(total, dtype=torch.float64, device=self.device)))
        if not math.isfinite(total):
            raise self._diverged(f"the loss became {total}", rows)
        trained = list(self._trained())
        average_gradients(trained, self.team)
        self.precision.scaler.unscale_(self.optimizer)
        self._limit([each.grad for each in trained if each.grad is not None])
        set_rate(self.optimizer, self.how.learning_rate * rate_at(self._at, self.how.epochs * self.steps, self.how.warmup))
        self.precision.scaler.step(self.optimizer)
        self.precision.scaler.update()
        self.keep_zeros()
        return total

    def _limit(self, gradients: "list[torch.Tensor]") -> None:
        """Gradients that are too long are cut; those that are no numbers end it, but in fp16, whose scaler leaves such steps out."""
        import torch

        norm = torch.nn.utils.get_total_norm(gradients)
        if self.precision.word == "fp16":
            return
        if not torch.isfinite(norm):
            raise self._diverged(f"the gradient became {float(norm)}")
        if self.how.max_gradient is not None and norm > self.how.max_gradient:
            for gradient in gradients:
                gradient.mul_(self.how.max_gradient / norm)

    def _finish_epoch(self) -> None:
        self._judge(self.epoch, self.total / len(self.learned))
        self.epoch, self.step, self.total = self.epoch + 1, 0, 0.0
        self._keep()

    def _judge(self, number: int, loss: float | None) -> None:
        """Score the module as it is now, and keep it where it is the best so far."""
        found: tuple[float | None, float | None] = (None, None)
        if len(self.judge.rows):
            self.module.eval()
            seen = self.judge.of(self._answer, self._loss, self.how.batch_size, self.device) if self.team.rank == 0 else None
            found = self.team.share(seen)
        self.history.append(Epoch(number, loss, *found))
        rows = self.judge.rows
        if found[0] is not None and not math.isfinite(found[0]) and (number or no_numbers_in(self.examples, rows) is not None):
            raise self._diverged(f"the validation loss became {found[0]}", rows)
        if self._is_best(self.history[-1]):
            self.best = number
            self.best_weights = {name: tensor.detach().cpu().clone() for name, tensor in self.module.state_dict().items()}

    def _is_best(self, epoch: Epoch) -> bool:
        """Whether nothing before was better: by the metric, then by the loss. With nothing held out it is always the latest."""
        candidates = [each for each in self.history[:-1] if each.number >= self.choose_from]
        return epoch.validation_loss is None or not candidates or self._rank(epoch) > max(map(self._rank, candidates))

    def _rank(self, epoch: Epoch) -> tuple[float, float]:
        assert epoch.validation_loss is not None
        score = 0.0 if epoch.score is None else epoch.score if self.judge.higher_is_better else -epoch.score
        return (-math.inf if math.isnan(score) else score, -epoch.validation_loss if math.isfinite(epoch.validation_loss) else -math.inf)

    @property
    def _in_vain(self) -> bool:
        """Whether so many epochs brought nothing better that it is time to stop."""
        since = self.epoch - 1 - max(self.best, self.choose_from)
        return self.how.patience is not None and len(self.judge.rows) > 0 and since >= self.how.patience

    def _answer(self, batch: Batch) -> "Mapping[str, torch.Tensor]":
        with self.precision.computing():
            return answer_with(self.module, batch, self.outputs)

    def _loss(self, answers: "Mapping[str, torch.Tensor]", batch: Batch) -> "torch.Tensor":
        with self.precision.computing():
            found = self.loss(answers, batch)
        return found if found.dim() == 0 else found.float().mean()

    def _metric(self, held: Array) -> Any:
        self.module.eval()
        batch = make_batch(self.examples, held[:1] if self.examples.whole else held[:2], self.device)
        return choose_metric(self.how.metric, self.how.output, self.examples, answer_with(self.module, batch, self.outputs, learning=False))

    def _trained(self) -> "Iterator[torch.nn.Parameter]":
        """The parameters of the module, and those of a loss that has its own."""
        found = [*self.module.parameters(), *self._own_parameters]
        if not any(each.requires_grad for each in found):
            raise ModelError("nothing in it can be trained", hint="give a network with parameters that require gradients")
        return (each for each in found if each.requires_grad)

    @property
    def _at(self) -> int:
        return (self.epoch - 1) * self.steps + self.step

    @property
    def _elapsed(self) -> float:
        return self.seconds + time.monotonic() - self.started

    @property
    def _told(self) -> str:
        last = self.history[-1]
        known = {"loss": last.loss, self.judge.metric.name if self.judge.metric else "validation loss": last.score or last.validation_loss}
        numbers = [f"{name} {number:.4g}" for name, number in known.items() if number is not None]
        return ", ".join([f"epoch {self.epoch} of {self.how.epochs}", *numbers])

    def _keep(self) -> None:
        if self.team.rank != 0 or self.checkpoint.place is None:
            return
        self.checkpoint.keep(
            {
                "model": self.module.state_dict(),
                "loss": self.loss.state_dict() if hasattr(self.loss, "state_dict") else {},
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.precision.scaler.state_dict(),
                "position": [self.epoch, self.step],
                "total": self.total,
                "history": [[each.number, each.loss, each.validation_loss, each.score] for each in self.history],
                "best": self.best,
                "best_weights": self.best_weights,
                "seconds": self._elapsed,
            }
        )

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.module.load_state_dict(state["model"])
        if hasattr(self.loss, "load_state_dict"):
            self.loss.load_state_dict(state["loss"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.precision.scaler.load_state_dict(state["scaler"])
        (self.epoch, self.step), self.total = state["position"], state["total"]
        self.history = [Epoch(*each) for each in state["history"]]
        self.best, self.best_weights, self.seconds = state["best"], dict(state["best_weights"]), state["seconds"]
        self.resumed_at = self.epoch

    def _diverged(self, what: str, rows: Sequence[int] | Array = ()) -> OptkitError:
        if (bad := no_numbers_in(self.examples, rows)) is not None:
            return DataError(f"example {bad[0]} holds values that are no finite numbers in {bad[1]!r}", hint="mend or leave it out")
        done, place = self.history[-1].number if self.history else 0, self.checkpoint.place
        kept = (
            f"; the last good checkpoint, within epoch {self.epoch} or after epoch {done}, is {place}" if place and place.is_file() else ""
        )
        hint = f"lower learning_rate, which is {self.how.learning_rate:g}, or set max_gradient: 1; look for NaN in the data{kept}"
        return OptkitError(f"{what} in epoch {self.epoch}, step {self.step + 1} of {self.steps}", hint=hint)


def _sizes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items() if hasattr(tensor, "shape")}
