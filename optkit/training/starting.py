"""A student that starts from parts of its teacher, such as some of its layers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optkit.datasets import Array
from optkit.errors import ModelError, UsageError
from optkit.registry import suggestion
from optkit.training.features import WHICH
from optkit.training.teachers import Teacher, TorchTeacher

if TYPE_CHECKING:
    import torch


def start_from(student: "torch.nn.Module", teacher: Teacher, parts: Mapping[str, str], examples: Mapping[str, Array]) -> None:
    """Copy the weights of the teacher's parts into the student's: {student's module: teacher's}.

    A student's part whose class has a method `start_from(part, examples)` is not copied into: the method takes from the teacher's part what
    it can use, such as the largest units of a wider layer. It is given the training inputs as arrays by name.
    Raises UsageError for a part that there is not, a method that fails, or a teacher that has no parts; ModelError where two are not of the
    same kind and size.
    """
    if not isinstance(teacher, TorchTeacher):
        raise UsageError(
            "the parts of an ONNX teacher cannot be copied", where="start_from", hint="name the PyTorch model that it came from"
        )
    for mine, theirs in parts.items():
        target, source = (_part(module, name, of) for module, name, of in ((student, mine, "student"), (teacher.module, theirs, "teacher")))
        where = f"start_from: {mine} → {theirs}"
        if callable(getattr(type(target), "start_from", None)):
            _by_itself(target, source, examples, where)
        elif _sizes(target) != _sizes(source):
            hint = "pair parts of the same kind and width, or give the student's class a method start_from(part, examples)"
            raise ModelError(f"their weights differ: {_difference(target, source)}", where=where, hint=hint)
        else:
            target.load_state_dict(source.state_dict())


def _by_itself(target: Any, source: "torch.nn.Module", examples: Mapping[str, Array], where: str) -> None:
    import torch

    try:
        with torch.no_grad():
            target.start_from(source, examples)
    except Exception as error:  # the user's method may raise anything
        what = f"{type(target).__name__}.start_from raised {type(error).__name__}: {' '.join(str(error).split())}"
        raise UsageError(what, where=where, hint="it is called with the teacher's part and the training inputs by name") from error


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
