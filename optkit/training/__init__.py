"""The only training loop: everything that learns goes through `train`."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from optkit.datasets import Examples
from optkit.progress import Progress
from optkit.training.batches import Augment, Batch
from optkit.training.checkpoint import Checkpoint
from optkit.training.functions import find_function
from optkit.training.outcome import Epoch, TrainingOutcome
from optkit.training.parameters import TrainingParameters
from optkit.training.processes import device_of, gather_team
from optkit.training.reproducible import reproducible
from optkit.training.validating import Loss

if TYPE_CHECKING:
    import torch

__all__ = ["Batch", "Epoch", "Job", "Loss", "TrainingOutcome", "TrainingParameters", "train"]


class Job(Protocol):
    """What a training uses of `optkit.passes.Job`."""

    @property
    def device(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def progress(self) -> Progress: ...
    @property
    def kept(self) -> Path | None: ...


def train(
    module: "torch.nn.Module",
    loss: Loss,
    examples: Examples,
    how: TrainingParameters,
    job: Job,
    *,
    outputs: Sequence[str] = (),
    before_epoch: Callable[[int], None] | None = None,
    after_step: Callable[[int, int], None] | None = None,
    choose_from: int = 0,
    augment: Augment | None = None,
    folder: str | None = None,
    zeros: Iterable[str] = (),
    name: str = "training",
) -> TrainingOutcome:
    """Train a module in place; afterwards it holds the weights of the best epoch, in evaluation mode, on the CPU.

    `loss(answers, batch)` gives the mean over the batch of the module's answers, named `outputs` (see `named_outputs`); a loss that has
    `parameters()`, `state_dict()`, `load_state_dict()` and `to(device)`, as a `torch.nn.Module` has, has them trained along.
    `before_epoch(epoch)` is called with 1, 2, … and again where an interrupted training goes on; `after_step(step, steps)` after every
    change of the weights, with 1 … steps. What both do may depend on these
    numbers and on what the module's state dict holds: then an interrupted training, taken up again, ends with the same bits.
    Epochs before `choose_from` are not candidates for the best (0, the state before training, is one by default).
    The user's functions are looked for in `folder` too. Zeros in the weights of the layers that `zeros` names stay. `name` keeps the
    checkpoints of several trainings of one pass apart.

    Raises DataError (too little data, labels that do not fit), ModelError (the module fails), UsageError (device, precision, functions),
    and OptkitError where the loss is no number any more; it names the checkpoint that is left then.
    """
    from optkit.training.loop import Run

    team = gather_team(job.device)
    if augment is None and how.augment is not None:
        augment = find_function(how.augment, "it is called with a batch: a dict of tensors", folder)
    place = None if job.kept is None else job.kept / f"{name}.pt"
    with reproducible(how.training_threads, job.device):
        run = Run(module, loss, examples, how, job, team, device_of(job.device, team), tuple(outputs), augment, Checkpoint(place))
        run.choose_from, run.before_epoch, run.after_step, run.zeros = choose_from, before_epoch, after_step, zeros
        return run.to_the_end()
