"""The loss of a student that learns from a teacher: its answers, its inner values, and the labels, mixed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from optkit.datasets import Examples
from optkit.errors import ModelError
from optkit.training.answering import answer_with
from optkit.training.batches import Batch, make_batch
from optkit.training.distillation import (
    attention_loss,
    check_attention,
    class_axis,
    hidden_loss,
    soft_target_loss,
    value_loss,
    width_axis,
)
from optkit.training.features import Features
from optkit.training.reproducible import start_randomness
from optkit.training.teachers import Taught, Teacher
from optkit.training.validating import Loss

if TYPE_CHECKING:
    import torch

Match = Literal["logits", "values"]


@dataclass(frozen=True)
class Mix:
    """What is learned from a teacher, and how much each thing weighs."""

    temperature: float
    label_share: float
    """0 learns from the teacher's answers alone, 1 from labels alone."""
    match: Match | None
    output: str | None
    hidden: Mapping[str, str]
    """Student's part → teacher's."""
    attention: Mapping[str, str]
    hidden_weight: float
    attention_weight: float


class LearningFrom:
    """A loss for `train`: (1 - share) · answers + share · labels + weight · hidden states + weight · attention maps.

    Making it asks both models once, and raises ModelError where their outputs, hidden states or maps do not fit together.
    """

    def __init__(
        self,
        teacher: Teacher,
        student: "torch.nn.Module",
        names: tuple[str, ...],
        examples: Examples,
        labels: Loss,
        mix: Mix,
        seed: int,
    ) -> None:
        import torch

        self.teacher, self.labels, self.mix = teacher, labels, mix
        self.features = Features(student, mix.hidden, mix.attention, "student")
        few = np.arange(1 if examples.whole else min(2, len(examples)))
        batch = make_batch(examples, few, "cpu")
        taught = teacher(batch)
        with torch.no_grad():
            answers = answer_with(student.eval(), batch, names)
        self.pairs = _pairs(answers, taught.outputs, mix.output)
        whole_numbers = examples.labels is None or examples.labels.dtype.kind in "biu"
        self.match = {mine: mix.match or ("logits" if whole_numbers and _has_classes(answers[mine]) else "values") for mine in self.pairs}
        hidden, attention = self.features.take()
        for mine, theirs in mix.attention.items():
            check_attention(attention[mine], taught.attention[theirs], f"{mine} → {theirs}")
        with torch.random.fork_rng():
            start_randomness(seed, 3)
            self.axes, self.bridges = _bridges(hidden, taught, mix.hidden)

    def __call__(self, answers: "Mapping[str, torch.Tensor]", batch: Batch) -> "torch.Tensor":
        mix = self.mix
        taught = self.teacher(batch)
        hidden, attention = self.features.take()
        total = mix.label_share * self.labels(answers, batch) if mix.label_share else 0.0
        if mix.label_share < 1:
            total = total + (1 - mix.label_share) * self._of_answers(answers, taught, batch)
        for i, (mine, theirs) in enumerate(mix.hidden.items()):
            total = total + mix.hidden_weight * hidden_loss(self._bridged(i, hidden[mine]), taught.hidden[theirs])
        for mine, theirs in mix.attention.items():
            total = total + mix.attention_weight * attention_loss(attention[mine], taught.attention[theirs])
        return total  # a tensor: share and weights cannot all be 0

    def parameters(self) -> "list[torch.nn.Parameter]":
        """Those of the projections, which are trained along and thrown away."""
        return list(self.bridges.parameters())

    def state_dict(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.bridges.state_dict()
        return found

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.bridges.load_state_dict(state)

    def to(self, device: str) -> None:
        self.bridges.to(device)
        self.teacher.to(device)

    def stop(self) -> None:
        """Leave the student as it was before anyone listened."""
        self.features.stop()

    def _of_answers(self, answers: "Mapping[str, torch.Tensor]", taught: Taught, batch: Batch) -> "torch.Tensor":
        found = []
        for mine, theirs in self.pairs.items():
            student, teacher = answers[mine], taught.outputs[theirs]
            if self.match[mine] == "logits":
                found.append(soft_target_loss(student, teacher, self.mix.temperature, batch.labels))
            else:
                found.append(value_loss(student, teacher))
        return sum(found[1:], found[0]) / len(found)

    def _bridged(self, i: int, value: "torch.Tensor") -> "torch.Tensor":
        axis = self.axes[i]
        made: torch.Tensor = value if axis is None else self.bridges[str(i)](value.movedim(axis, -1)).movedim(-1, axis)
        return made


def _pairs(student: "Mapping[str, torch.Tensor]", teacher: "Mapping[str, torch.Tensor]", output: str | None) -> dict[str, str]:
    """Student's output → teacher's. Raises ModelError where they do not fit."""
    mine, theirs = ([name for name, value in each.items() if value.is_floating_point()] for each in (student, teacher))
    shared = [name for name in mine if name in theirs]
    if output is not None:
        mine = [output] if output in mine else []
        found = {output: output if output in theirs else theirs[0]} if mine and (output in theirs or len(theirs) == 1) else {}
    elif len(mine) == len(theirs) == 1:
        found = {mine[0]: theirs[0]}
    else:
        found = {name: name for name in shared}
    if not found:
        what = f"student and teacher share no output: student {', '.join(student)}; teacher {', '.join(teacher)}"
        raise ModelError(what, where="distill", hint="name the student's outputs as the teacher's, or say output: NAME")
    for one, other in found.items():
        if student[one].shape != teacher[other].shape:
            what = (
                f"student and teacher differ in shape: {one!r} is {list(student[one].shape)}, the teacher's is {list(teacher[other].shape)}"
            )
            raise ModelError(what, where="distill", hint="give both the same classes, and the teacher the data that it wants")
    return found


def _has_classes(answer: "torch.Tensor") -> bool:
    return bool(answer.dim() > 1 and answer.shape[class_axis(answer)] > 1)


def _bridges(
    hidden: "Mapping[str, torch.Tensor]", taught: Taught, pairs: Mapping[str, str]
) -> "tuple[list[int | None], torch.nn.ModuleDict]":
    """For each pair the axis on which widths differ, and a linear projection from the student's to the teacher's width."""
    import torch

    axes: list[int | None] = []
    bridges = torch.nn.ModuleDict()
    for i, (mine, theirs) in enumerate(pairs.items()):
        student, teacher = hidden[mine], taught.hidden[theirs]
        axis = width_axis(student, teacher, f"{mine} → {theirs}")
        axes.append(axis)
        if axis is not None:
            bridges[str(i)] = torch.nn.Linear(student.shape[axis], teacher.shape[axis], bias=False)
    return axes, bridges
