"""What a training came to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """How a module did after an epoch; number 0 is before the first."""

    number: int
    loss: float | None
    """Mean over the examples learned from, while they were; None before the first epoch."""
    validation_loss: float | None
    """Mean over the examples held out; None where there are none."""
    score: float | None
    """The metric on the examples held out; None where the loss is what counts."""


@dataclass(frozen=True)
class TrainingOutcome:
    """How a training went. The module holds the weights of the best epoch, in evaluation mode."""

    epochs: tuple[Epoch, ...]
    """The state before the first, then each that was trained."""
    best: int
    """Number of the best epoch; 0 where none was better than the start. The last one where nothing was held out."""
    metric: str
    """What epochs were chosen by: a metric's name, or `loss`."""
    higher_is_better: bool
    learned_from: int
    """Examples."""
    held_out: int
    seconds: float
    """Of training and validating, those before a restart included."""
    stopped_early: bool
    resumed_at: int | None
    """The epoch that was going on when an interrupted training was taken up again; None where none was."""
    precision: str
    processes: int

    @property
    def before(self) -> float | None:
        return self.number_of(self.epochs[0])

    @property
    def after(self) -> float | None:
        return self.number_of(next(each for each in self.epochs if each.number == self.best))

    def number_of(self, epoch: Epoch) -> float | None:
        """What an epoch is judged by."""
        return epoch.validation_loss if self.metric == "loss" else epoch.score
