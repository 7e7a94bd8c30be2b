"""Parts of a student start with the weights of the teacher's parts that are named, and with nothing else."""

from typing import Any

import numpy as np
import pytest

from optkit.errors import ModelError, UsageError

torch = pytest.importorskip("torch")

from optkit.training.starting import start_from  # noqa: E402
from optkit.training.teachers import TorchTeacher  # noqa: E402


def network(layers: int, width: int = 4, norm: bool = False) -> Any:
    def part() -> Any:
        return torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.BatchNorm1d(width) if norm else torch.nn.Identity())

    return torch.nn.ModuleDict({"layers": torch.nn.ModuleList(part() for _ in range(layers)), "head": torch.nn.Linear(width, 2)})


def test_the_parts_named_are_copied_buffers_too_and_stay_apart_from_the_teachers() -> None:
    student, teacher = network(2, norm=True), network(4, norm=True)
    with torch.no_grad():
        teacher["layers"][3][1].running_mean += 7
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    start_from(student, TorchTeacher(teacher, ()), {"layers.0": "layers.1", "layers.1": "layers.3"}, {})
    for mine, theirs in ((0, 1), (1, 3)):
        for name, tensor in teacher["layers"][theirs].state_dict().items():
            assert torch.equal(student["layers"][mine].state_dict()[name], tensor)
    assert torch.equal(student["head"].weight, before["head.weight"])
    assert all(each.requires_grad for each in student.parameters())
    with torch.no_grad():
        student["layers"][0][0].weight += 1
    assert not torch.equal(student["layers"][0][0].weight, teacher["layers"][1][0].weight)


@pytest.mark.parametrize(
    ("parts", "kind", "told"),
    [
        ({"layer.1": "layers.1"}, UsageError, "the student has no part 'layer.1'"),
        ({"layers.1": "layers.9"}, UsageError, "the teacher has no part 'layers.9'"),
        ({"": "layers.1"}, UsageError, "the student has no part ''"),
        ({"head": "layers.0"}, ModelError, "'weight' is [2, 4] in the student, missing in the teacher"),
        ({"layers.0.0": "head"}, ModelError, "'weight' is [4, 4] in the student, [2, 4] in the teacher"),
    ],
)
def test_what_does_not_fit_is_named(parts: dict[str, str], kind: type[Exception], told: str) -> None:
    with pytest.raises(kind) as caught:
        start_from(network(2), TorchTeacher(network(4), ()), parts, {})
    assert told in str(caught.value)
    assert "start_from" in str(caught.value)


def test_an_onnx_teacher_has_no_parts_to_copy() -> None:
    class Other:
        def __call__(self, batch: object) -> object: ...
        def to(self, device: str) -> None: ...

    with pytest.raises(UsageError, match="the parts of an ONNX teacher cannot be copied"):
        start_from(network(2), Other(), {"head": "head"}, {})  # type: ignore[arg-type]


class Narrow(torch.nn.Module):  # type: ignore[name-defined,misc]
    """Keeps the first units of a wider one, and says what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.seen = torch.nn.Linear(4, 1), dict[str, Any]()

    def start_from(self, part: Any, examples: Any) -> None:
        self.inside.weight.copy_(part.weight[:1])
        self.seen = dict(examples)


def test_a_part_of_another_size_says_itself_how_it_starts() -> None:
    student, teacher = torch.nn.ModuleDict({"head": Narrow()}), network(1)
    examples = {"x": np.arange(3)}
    start_from(student, TorchTeacher(teacher, ()), {"head": "head"}, examples)
    assert torch.equal(student["head"].inside.weight, teacher["head"].weight[:1])
    assert student["head"].inside.weight.requires_grad
    assert student["head"].seen.keys() == examples.keys()


def test_a_start_that_fails_is_told() -> None:
    student = torch.nn.ModuleDict({"head": Narrow()})
    with pytest.raises(UsageError, match=r"Narrow\.start_from raised AttributeError") as caught:
        start_from(student, TorchTeacher(network(1), ()), {"head": "layers.0"}, {})
    assert "start_from: head → layers.0" in str(caught.value)
