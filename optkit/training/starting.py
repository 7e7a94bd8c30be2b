"""A student that starts from parts of its teacher, such as some of its layers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from optkit.errors import ModelError, UsageError
from optkit.registry import suggestion
from optkit.training.features import WHICH
from optkit.training.teachers import Teacher, TorchTeacher

if TYPE_CHECKING:
    import torch


def start_from(student: "torch.nn.Module", teacher: Teacher, parts: Mapping[str, str]) -> None:
    """Copy the weights of the teacher's parts into the student's: {student's module: teacher's}.

    Raises UsageError for a part that there is not, or a teacher that has none; ModelError where two are not of the same kind and size.
    """
    if not isinstance(teacher, TorchTeacher):
        raise UsageError(
            "the parts of an ONNX teacher cannot be copied", where="start_from", hint="name the PyTorch model that it came from"
        )
    for mine, theirs in parts.items():
        target, source = (_part(module, name, of) for module, name, of in ((student, mine, "student"), (teacher.module, theirs, "teacher")))
        if _sizes(target) != _sizes(source):
            hint = "pair parts of the same kind and width; without the pair it starts as its factory makes it"
            raise ModelError(f"their weights differ: {_difference(target, source)}", where=f"start_from: {mine} → {theirs}", hint=hint)
        target.load_state_dict(source.state_dict())


def _part(module: "torch.nn.Module", name: str, of: str) -> "torch.nn.Module":
    parts = dict(module.named_modules())
    if name not in parts or not name:
        hint = f"{suggestion(name, [each for each in parts if each])[:400]}; {WHICH}"
        raise UsageError(f"the {of} has no part {name!r}", where="start_from", hint=hint)
    return parts[name]


def _sizes(module: "torch.nn.Module") -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in module.state_dict().items()}


def _difference(student: "torch.nn.Module", teacher: "torch.nn.Module") -> str:
    mine, theirs = _sizes(student), _sizes(teacher)
    name = next(name for name in (*mine, *theirs) if mine.get(name) != theirs.get(name))
    return f"{name!r} is {mine.get(name, 'missing')} in the student, {theirs.get(name, 'missing')} in the teacher"
