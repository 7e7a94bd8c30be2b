"""PyTorch models: one safetensors file that holds the weights and says where the module comes from; never a pickle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optkit.errors import ModelError
from optkit.formats.safetensors_header import read_metadata, read_sizes
from optkit.formats.torch_origin import Origin, build, edits_of, origin_from
from optkit.needs import need

if TYPE_CHECKING:
    import torch

PROGRAM = ".pt2"
ORIGIN = "optkit.origin"
"""Key of the file's metadata under which the origin stands."""


@dataclass(frozen=True)
class TorchModel:
    """A module, ready to run or train, and what makes it again."""

    module: "torch.nn.Module"
    origin: Origin


def load_torch(path: Path) -> TorchModel:
    """The model in a file that `save_torch` wrote, in evaluation mode, on the CPU; or an exported program (`.pt2`), which only runs.

    Raises ModelError when it is no such file or its weights do not fit; UsageError as `build` does.
    """
    if path.suffix == PROGRAM:
        return _program(path)
    origin = read_origin(path)
    need("torch", path.name)
    module = build(origin)
    load_weights(module, path, resize=True)
    return TorchModel(module.eval(), origin)


def save_torch(model: TorchModel, path: Path) -> None:
    """Write weights and origin as one file; the same model gives the same bytes. What was resized is found by asking the factory anew."""
    from safetensors.torch import save_model

    if not model.origin.factory:
        raise ModelError("an exported program can be exported to ONNX, not changed", hint="start from the module's factory")
    origin = replace(model.origin, edits=edits_of(model.module, model.origin))
    save_model(model.module, str(path), metadata={ORIGIN: origin.as_text()})


def read_origin(path: Path) -> Origin:
    """What a file says of where its module comes from. Raises ModelError when it says nothing, or is no safetensors file."""
    text = read_metadata(path).get(ORIGIN)
    if text is None:
        hint = "in a recipe, give model: {factory: module:callable, weights: FILE}"
        raise ModelError("these are weights alone: nothing says what makes the network", where=str(path), hint=hint)
    return origin_from(text, str(path))


def load_weights(module: "torch.nn.Module", path: Path, *, resize: bool = False) -> None:
    """Put the weights of a `.safetensors` file or of a state dict (read with `weights_only`) into a module.

    With `resize` tensors of the module take the sizes of the file's. Raises ModelError, naming the first tensors that do not fit.
    """
    if path.suffix == ".safetensors":
        from safetensors.torch import load_model

        if resize:
            _resize(module, path)
        try:
            load_model(module, str(path), strict=True)
        except (RuntimeError, OSError, ValueError) as error:
            raise _misfit(path, error, module, read_sizes(path)) from error
        return
    state = _state_dict(path)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise _misfit(path, error, module, {name: tuple(tensor.shape) for name, tensor in state.items()}) from error


def named_outputs(answer: Any, names: Sequence[str] = ()) -> dict[str, "torch.Tensor"]:
    """What `forward` returned, by name: a tensor, a tuple or a mapping; unnamed ones are `output`, or `output_0`, `output_1`, …"""
    import torch

    if isinstance(answer, torch.Tensor):
        found = {"output": answer}
    elif isinstance(answer, Mapping):
        found = {name: value for name, value in answer.items() if isinstance(value, torch.Tensor)}
    else:
        found = {f"output_{i}": value for i, value in enumerate(answer) if isinstance(value, torch.Tensor)}
    return dict(zip(names, found.values(), strict=True)) if len(names) == len(found) else found


def _resize(module: "torch.nn.Module", path: Path) -> None:
    import torch

    sizes = read_sizes(path)
    for prefix, part in module.named_modules():
        for store in (part._parameters, part._buffers):
            for name, tensor in store.items():
                size = sizes.get(f"{prefix}.{name}" if prefix else name)
                if tensor is None or size is None or tuple(tensor.shape) == size:
                    continue
                empty = torch.zeros(size, dtype=tensor.dtype)
                store[name] = torch.nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else empty


def _program(path: Path) -> TorchModel:
    from optkit.formats.torch_program import by_name, inputs_of

    torch = need("torch", path.name)
    try:
        program = torch.export.load(path)
        return TorchModel(by_name(program), Origin("", inputs=inputs_of(program)))
    except Exception as error:  # torch has no error of its own for this
        raise ModelError("this is no program that torch.export saved", where=str(path), hint="torch.export.save(program, FILE)") from error


def _state_dict(path: Path) -> Mapping[str, Any]:
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError("there is no such file", where=str(path)) from error
    except Exception as error:  # pickle, zip and torch raise whatever the bytes made them do
        hint = "save model.state_dict(), or a .safetensors file: whole pickled modules are never loaded, they could run any code"
        raise ModelError("it holds no plain state dict", where=str(path), hint=hint) from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(isinstance(each, torch.Tensor) for each in found.values()):
        raise ModelError("it holds no plain state dict", where=str(path), hint="save model.state_dict()")
    return {name.removeprefix("module."): tensor for name, tensor in found.items()}


def _misfit(path: Path, error: Exception, module: "torch.nn.Module", there: Mapping[str, tuple[int, ...]]) -> ModelError:
    """What differs, the first of it in full."""
    here = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = [
        f"{name!r} is {[*there[name]]} in the file, {[*size]} in the network"
        for name, size in here.items()
        if there.get(name, size) != size
    ]
    found += [f"{name!r} is in the network only" for name in here if name not in there]
    found += [f"{name!r} is in the file only" for name in there if name not in here]
    told = found[0] if found else " ".join(str(error).split())[:300]
    more = f"; {len(found) - 1} more differ{'s' if len(found) == 2 else ''}" if len(found) > 1 else ""
    return ModelError(f"its weights do not fit the network: {told}{more}", where=str(path), hint="check `factory` and `arguments`")
