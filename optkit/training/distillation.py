"""How far a student's answers and inner values are from its teacher's, as numbers to be made small. Formulas only."""

from typing import TYPE_CHECKING

from optkit.errors import ModelError

if TYPE_CHECKING:
    import torch

NO_LABEL = -1
"""What sequences of labels are filled up with: nothing is to be learned there."""
SURE = 1e-2
"""How near to 1 sums of an attention map's rows are, in 16 bits too."""


def soft_target_loss(
    student: "torch.Tensor", teacher: "torch.Tensor", temperature: float, labels: "torch.Tensor | None" = None
) -> "torch.Tensor":
    """T² · KL(softmax(teacher / T) ‖ softmax(student / T)), the mean over examples and positions; Hinton, Vinyals and Dean, 2015.

    Factor T² keeps gradients of one size for every temperature T. Positions whose label is -1 count nothing.
    """
    import torch

    axis = class_axis(student)
    mine, wanted = (torch.log_softmax(each.float().movedim(axis, -1) / temperature, -1) for each in (student, teacher))
    apart = torch.nn.functional.kl_div(mine, wanted, reduction="none", log_target=True).sum(-1)
    if labels is not None and labels.shape == apart.shape and not labels.is_floating_point():
        apart = apart[labels != NO_LABEL]
    return temperature**2 * apart.mean()


def value_loss(student: "torch.Tensor", teacher: "torch.Tensor") -> "torch.Tensor":
    """Mean squared difference of answers that are values, not scores of classes."""
    return ((student.float() - teacher.float()) ** 2).mean()


def hidden_loss(student: "torch.Tensor", teacher: "torch.Tensor") -> "torch.Tensor":
    """Squared difference relative to the teacher's squares, so that layers of any magnitude weigh alike: 1 is what zeros would cost."""
    wanted = teacher.float()
    return ((student.float() - wanted) ** 2).mean() / (wanted**2).mean().clamp_min(1e-12)


def attention_loss(student: "torch.Tensor", teacher: "torch.Tensor") -> "torch.Tensor":
    """How differently the two attend.

    Attention maps [N, heads, L, L], whose rows sum to 1, are averaged over heads: the mean over rows of KL(teacher ‖ student).
    Feature maps [N, C, …] become maps of their channels' mean squares, scaled to length 1: the squared distance of these (Zagoruyko and
    Komodakis, Paying More Attention to Attention, 2017). Heads and channels may differ in number.
    """
    import torch

    mine, wanted = student.float(), teacher.float()
    if _sums_to_one(mine) and _sums_to_one(wanted):
        mine, wanted = ((each.mean(1) if each.dim() == 4 else each).clamp_min(1e-12) for each in (mine, wanted))
        return (wanted * (wanted.log() - mine.log())).sum(-1).mean()
    mine, wanted = (torch.nn.functional.normalize((each**2).mean(1).flatten(1), dim=1) for each in (mine, wanted))
    return ((mine - wanted) ** 2).sum(1).mean()


def class_axis(answer: "torch.Tensor") -> int:
    """The last; from four axes on, images are [N, C, height, width] or [N, height, width, C]: the shorter of the two."""
    return 1 if answer.dim() > 3 and answer.shape[1] <= answer.shape[-1] else -1


def width_axis(student: "torch.Tensor", teacher: "torch.Tensor", where: str) -> int | None:
    """The one axis on which two hidden states differ, for a projection to bridge; None where they are alike. Raises ModelError."""
    apart = [axis for axis in range(student.dim()) if student.dim() == teacher.dim() and student.shape[axis] != teacher.shape[axis]]
    if student.dim() != teacher.dim() or len(apart) > 1 or 0 in apart:
        what = f"hidden states differ in more than width: student {list(student.shape)}, teacher {list(teacher.shape)}"
        raise ModelError(what, where=where, hint="pair layers of the same resolution and length")
    return apart[0] if apart else None


def check_attention(student: "torch.Tensor", teacher: "torch.Tensor", where: str) -> None:
    """Raise ModelError where two maps cannot be compared: heads and channels may differ in number, nothing else may."""
    kept = student.dim() != 3 or not (_sums_to_one(student.float()) and _sums_to_one(teacher.float()))
    mine, wanted = ((each.shape[0], *each.shape[2:]) if kept else tuple(each.shape) for each in (student, teacher))
    if student.dim() < 3 or mine != wanted:
        what = f"attention maps do not fit: student {list(student.shape)}, teacher {list(teacher.shape)}"
        raise ModelError(what, where=where, hint="pair layers of the same resolution and length, three axes or more each")


def _sums_to_one(value: "torch.Tensor") -> bool:
    return bool((value >= 0).all()) and bool(((value.sum(-1) - 1).abs() < SURE).all())
