"""Programs that torch.export saved: modules without code of the user's, of which only sizes may vary that varied when they were traced."""

import inspect
from typing import TYPE_CHECKING, Any

from optkit.formats.torch_origin import TensorInput

if TYPE_CHECKING:
    import torch

BATCH = "batch"


def inputs_of(program: "torch.export.ExportedProgram") -> tuple[TensorInput, ...]:
    """What it takes, with names of sizes that vary: the first of the first input is `batch`, others are called after where they stand."""
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    sizes: dict[str, str] = {}
    found = []
    for name, value in zip(_names(program), [values[each] for each in program.graph_signature.user_inputs], strict=True):
        shape = tuple(size if isinstance(size, int) else _named(str(size), name, axis, sizes) for axis, size in enumerate(value.shape))
        found.append(TensorInput(name, str(value.dtype).removeprefix("torch."), shape))
    return tuple(found)


def by_name(program: "torch.export.ExportedProgram") -> "torch.nn.Module":
    """A module whose inputs can be given by name or in order; the program itself takes them only as they were given when it was traced."""
    import torch

    names, positional = _names(program), len(program.example_inputs[0])

    class GraphModuleByName(torch.nn.Module):  # type: ignore[misc]  # made here, since PyTorch is imported only where it is used
        def __init__(self) -> None:
            super().__init__()
            self.module, self.exported = program.module(), program

        def forward(self, *values: Any, **given: Any) -> Any:
            known = dict(zip(names, values, strict=False)) | given
            return self.module(*[known[name] for name in names[:positional]], **{name: known[name] for name in names[positional:]})

        def train(self, mode: bool = True) -> Any:
            """It was traced in one mode."""
            return self

    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("self", *names)]
    GraphModuleByName.forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return GraphModuleByName()


def _names(program: "torch.export.ExportedProgram") -> tuple[str, ...]:
    """Of its inputs, those that were given in order first."""
    positional, named = program.example_inputs
    return (*list(inspect.signature(program.module().forward).parameters)[: len(positional)], *named)


def _named(size: str, name: str, axis: int, sizes: dict[str, str]) -> str:
    return sizes.setdefault(size, BATCH if axis == 0 and BATCH not in sizes.values() else f"{name}_{axis}")
