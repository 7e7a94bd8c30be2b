"""Train a PyTorch model on labelled examples: what pruning took away is learned again."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from optkit.passes import Job, TorchPass
from optkit.passes._learned import check_gain, tell
from optkit.training import TrainingParameters, train
from optkit.training.losses import label_loss

if TYPE_CHECKING:
    from optkit.formats.torch import TorchModel


class Finetune(TrainingParameters, TorchPass):
    """Trains a PyTorch model on labelled examples; the weights of the best epoch on examples held out are kept."""

    draws: ClassVar[str | tuple[str, ...] | None] = "training"

    loss: str | None = Field(
        None,
        description="cross_entropy (classes), binary_cross_entropy, mean_squared_error (values), or module:function, called as "
        "f(outputs, labels). Default: what suits the labels.",
    )

    def edit(self, model: "TorchModel", job: Job) -> "TorchModel":
        """Raises NothingPaid where no epoch was better than the model as it came, and whatever `train` raises."""
        assert job.examples is not None, "the runner gives what a pass draws"
        outcome = train(model.module, label_loss(self.loss, self.output), job.examples, self, job, outputs=model.origin.outputs)
        check_gain(outcome)
        tell(outcome, job)
        return model
