"""PyTorch models, run by PyTorch itself: eagerly, or compiled."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from optkit.arrays import Array
from optkit.errors import DataError, ModelError, UsageError
from optkit.formats.torch import load_torch, named_outputs
from optkit.formats.torch_compiled import is_compiled
from optkit.formats.torch_origin import Origin
from optkit.runtimes import Port

if TYPE_CHECKING:
    import torch


class TorchSession:
    """A module on a device, in evaluation mode."""

    def __init__(self, module: "torch.nn.Module", origin: Origin, device: str, where: str) -> None:
        self.module = module
        self.where = where
        self.device = device
        self.inputs = ports_of(module, origin)
        self._named = origin.outputs
        self.outputs = tuple(Port(name, "any", ()) for name in origin.outputs)

    def run(self, feed: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        """Answer one batch; named outputs only, or all. Raises DataError when the feed does not fit, ModelError when the module fails."""
        given = {name: self._tensor(name, array) for name, array in feed.items()}
        answers = {name: value.cpu().numpy() for name, value in self._answer(given).items()}
        for name in outputs or ():
            if name not in answers:
                raise ModelError(f"the model has no output {name!r}", where=self.where, hint="its outputs: " + ", ".join(answers))
        return {name: answers[name] for name in outputs} if outputs else answers

    def bind(self, feed: Mapping[str, Array]) -> Callable[[], None]:
        """A call that answers `feed` again and again with inputs already on the device, and returns when it is done."""
        import torch

        given = {name: self._tensor(name, array) for name, array in feed.items()}
        self._answer(given)
        arguments, wait = self._arguments(given), torch.cuda.synchronize if self.device == "cuda" else None

        def call() -> None:
            with torch.inference_mode():
                self.module(*arguments[0], **arguments[1])
            if wait is not None:
                wait()

        return call

    def placement(self) -> dict[str, int]:
        """Parts of the module that compute by themselves, all of them on one device."""
        return {f"torch ({self.device})": sum(1 for part in self.module.modules() if not list(part.children()))}

    def _answer(self, given: Mapping[str, "torch.Tensor"]) -> dict[str, "torch.Tensor"]:
        import torch

        positional, named = self._arguments(given)
        try:
            with torch.inference_mode():
                return named_outputs(self.module(*positional, **named), self._named)
        except Exception as error:  # the user's module may raise anything
            told = str(error).strip().splitlines()
            what = f"it fails while running: {type(error).__name__}: {told[0] if told else ''}"
            raise ModelError(what, where=self.where, hint="check that the data is what the network wants") from error

    def _arguments(self, given: Mapping[str, "torch.Tensor"]) -> "tuple[list[torch.Tensor], dict[str, torch.Tensor]]":
        wanted = [port.name for port in self.inputs]
        if set(given) == set(wanted):
            return [], dict(given)
        if len(given) == 1 == len(wanted):
            return list(given.values()), {}
        raise DataError(f"it takes {', '.join(wanted)}, not {', '.join(given)}", where=self.where, hint="name the arrays so")

    def _tensor(self, name: str, array: Array) -> "torch.Tensor":
        import torch

        try:
            return torch.from_numpy(np.require(array, requirements=["C", "W"])).to(self.device)
        except TypeError as error:
            raise DataError(f"input {name!r} holds {array.dtype}, which PyTorch does not take", where=self.where) from error


def open_torch(path: Path, device: str = "cpu", threads: int = 1) -> TorchSession:
    """Open a PyTorch model on `cpu` or `cuda`, compiled where its name says so (see `formats.torch_compiled`).

    PyTorch has one number of threads for everything: `threads` 0 leaves it alone.
    Raises UsageError when the device is not there, ModelError when the model does not load.
    """
    if device not in ("cpu", "cuda"):
        raise UsageError(f"PyTorch models do not run on {device}", where=str(path), hint="use cpu or cuda, or export the model to ONNX")
    model = load_torch(path)
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("PyTorch finds no CUDA device", where=str(path), hint="use --device cpu, or install PyTorch for CUDA")
    if threads:
        torch.set_num_threads(threads)
    module = model.module.to(device)
    return TorchSession(torch.compile(module) if is_compiled(path) else module, model.origin, device, str(path))


def ports_of(module: "torch.nn.Module", origin: Origin) -> tuple[Port, ...]:
    """The inputs that a file knows, or the parameters of `forward` that must be given."""
    if origin.inputs:
        return tuple(Port(each.name, each.dtype, each.shape) for each in origin.inputs)
    wanted = inspect.signature(module.forward).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(Port(each.name, "any", ()) for each in wanted if each.kind in positional and each.default is inspect.Parameter.empty)
