"""What passes that train have in common."""

from collections.abc import Mapping
from typing import ClassVar

from optkit.formats.torch_origin import trusted
from optkit.passes import TorchPass
from optkit.runtimes.waiting import sleep_while_waiting
from optkit.training import TrainingParameters
from optkit.training.functions import code_digest
from optkit.training.processes import launched

sleep_while_waiting()  # here, since it counts only before PyTorch is imported


class TrainingPass(TrainingParameters, TorchPass):
    """A pass that trains: its author writes `edit`, with `train` in it."""

    draws: ClassVar[str | tuple[str, ...] | None] = "training"

    def functions(self) -> tuple[str | None, ...]:
        """The user's functions that it calls, where it calls any: their code decides the result too."""
        return (self.augment, self.metric)

    def depends(self, original: str) -> Mapping[str, str]:
        code = {word: code_digest(word, recipe_folder()) for word in self.functions() if word is not None and ":" in word}
        return code | ({"processes": str(launched())} if launched() > 1 else {})


def recipe_folder() -> str | None:
    """Where the code of the user may be, besides the current folder."""
    return next((folder for _, folder in reversed(trusted()) if folder is not None), None)
