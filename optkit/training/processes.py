"""Several processes that train one module together, started by `accelerate launch` or `torchrun`.

Each computes its part of every batch; gradients are averaged before every change of the weights, so that all hold the same module.
"""

import atexit
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from optkit.errors import UsageError
from optkit.needs import need

if TYPE_CHECKING:
    import torch

PATIENCE = timedelta(days=7)
"""How long one process waits for another: the first may have much to do between two trainings."""
LETTING_GO = 0.5
"""Seconds, of a thread that has answered already."""


def launched() -> int:
    """How many processes were started together; 1 where it was one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def helps() -> bool:
    """Whether this is not the first of several processes: it helps to train, and leaves everything else to the first."""
    return launched() > 1 and os.environ.get("RANK", "0") != "0"


class Team(Protocol):
    """The processes that train together."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...

    def mean(self, tensor: "torch.Tensor") -> "torch.Tensor":
        """The mean over all processes."""

    def share(self, value: Any) -> Any:
        """What the first process has."""

    def align(self, tensors: "Iterable[torch.Tensor]") -> None:
        """Give tensors the values that they have in the first process."""


@dataclass(frozen=True)
class Alone:
    """One process."""

    rank: int = 0
    size: int = 1

    def mean(self, tensor: "torch.Tensor") -> "torch.Tensor":
        return tensor

    def share(self, value: Any) -> Any:
        return value

    def align(self, tensors: "Iterable[torch.Tensor]") -> None:
        return None


@dataclass(frozen=True)
class Together:
    """Several, connected by Accelerate: over gloo on CPUs, NCCL on GPUs."""

    rank: int
    size: int

    def mean(self, tensor: "torch.Tensor") -> "torch.Tensor":
        from accelerate.utils import reduce

        made: torch.Tensor = reduce(tensor, "mean")
        return made

    def share(self, value: Any) -> Any:
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    def align(self, tensors: "Iterable[torch.Tensor]") -> None:
        import torch

        for tensor in tensors:
            torch.distributed.broadcast(tensor.detach(), 0)  # the same numbers, and nothing that gradients go through


def gather_team(device: str) -> Team:
    """The processes of this launch. Raises UsageError where Accelerate, which connects them, is not installed."""
    if launched() < 2:
        return Alone()
    try:
        from accelerate import PartialState
    except ImportError as error:
        raise UsageError("several processes were started, and accelerate is not installed", hint="pip install 'optkit[torch]'") from error
    state = PartialState(cpu=device == "cpu", timeout=PATIENCE)
    atexit.register(_part)
    return Together(state.process_index, state.num_processes)


def _part() -> None:
    """Leave the group. A thread of it that lets go of its last tensor only while the interpreter ends would abort the process."""
    import torch

    time.sleep(LETTING_GO)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def device_of(device: str, team: Team) -> str:
    """The device of this process: of several GPUs each process has its own. Raises UsageError where there is none."""
    if device == "cpu":
        return device
    torch = need("torch", "training")
    if device != "cuda":
        raise UsageError(f"PyTorch does not train on {device}", hint="put cpu or cuda first among the devices")
    if not torch.cuda.is_available():
        raise UsageError("PyTorch finds no CUDA device", hint="train on the cpu, or install PyTorch for CUDA")
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if team.size > 1 else device


def average_gradients(parameters: "Iterable[torch.nn.Parameter]", team: Team) -> None:
    """Replace every gradient by its mean over the processes; those that no process has stay away."""
    if team.size == 1:
        return
    import torch

    held = [each for each in parameters if each.requires_grad]
    if not held:
        return
    there = team.mean(torch.tensor([float(each.grad is not None) for each in held], device=held[0].device)) > 0
    taught = [each for each, known in zip(held, there.tolist(), strict=True) if known]
    flat = torch.cat([(torch.zeros_like(each) if each.grad is None else each.grad).reshape(-1).float() for each in taught])
    start, flat = 0, team.mean(flat)
    for each in taught:
        each.grad = flat[start : start + each.numel()].reshape(each.shape).to(each.dtype)
        start += each.numel()
