"""Train a PyTorch model on labelled examples: what pruning took away is learned again."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from optkit.passes import Job
from optkit.passes._learned import check_gain, tell
from optkit.passes._trains import TrainingPass, recipe_folder
from optkit.training import train
from optkit.training.losses import label_loss

if TYPE_CHECKING:
    from optkit.formats.torch import TorchModel


class Finetune(TrainingPass):
    """Trains a PyTorch model on labelled examples; the weights of the best epoch on examples held out are kept."""

    revision: ClassVar[int] = 2

    loss: str | None = Field(
        None,
        description="cross_entropy (classes), binary_cross_entropy, mean_squared_error (values), or module:function, called as "
        "f(outputs, labels). Default: what suits the labels.",
    )

    def functions(self) -> tuple[str | None, ...]:
        return (*super().functions(), self.loss)

    def edit(self, model: "TorchModel", job: Job) -> "TorchModel":
        """Raises NothingPaid where no epoch was better than the model as it came, and whatever `train` raises."""
        assert job.examples is not None, "the runner gives what a pass draws"
        folder = recipe_folder()
        loss = label_loss(self.loss, self.output, folder)
        origin = model.origin
        outcome = train(model.module, loss, job.examples, self, job, outputs=origin.outputs, folder=folder, zeros=origin.zeros)
        check_gain(outcome)
        tell(outcome, job)
        return model
