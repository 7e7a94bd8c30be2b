"""Where a PyTorch module comes from: who makes it, with what arguments, and how its shapes were changed since.

With this and a file of weights a module is made again, ready to train: nothing is ever unpickled.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optkit.errors import ModelError, OptkitError, UsageError
from optkit.needs import need
from optkit.registry import import_named

if TYPE_CHECKING:
    import torch

SCHEMA = 1
LIBRARIES = ("timm", "transformers")
"""Factories that are no code of the user's: `timm:resnet18`, `transformers:FOLDER`."""


@dataclass(frozen=True)
class TensorInput:
    """An input of a module: numpy dtype name, a dimension is a size, a name or None. Where nothing is known, `any` and no dimensions."""

    name: str
    dtype: str = "any"
    shape: tuple[int | str | None, ...] = ()


@dataclass(frozen=True)
class Origin:
    """What makes a module."""

    factory: str
    """`module:callable`, `timm:NAME` or `transformers:FOLDER`."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    edits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Module path → attributes that differ from what the factory makes, such as `out_channels` after pruning."""
    inputs: tuple[TensorInput, ...] = ()
    outputs: tuple[str, ...] = ()
    """Names of the outputs, in order; empty where nothing was said."""
    zeros: tuple[str, ...] = ()
    """Layers in whose weights pruning put zeros, which a training keeps."""

    def as_text(self) -> str:
        facts = {"schema": SCHEMA, **asdict(self)}
        return json.dumps({name: value for name, value in facts.items() if name != "zeros" or value}, sort_keys=True)

    def with_inputs(self, inputs: Sequence[TensorInput]) -> "Origin":
        return replace(self, inputs=tuple(inputs))

    def with_zeros(self, layers: Iterable[str]) -> "Origin":
        return replace(self, zeros=tuple(sorted({*self.zeros, *layers})))


def origin_from(text: str, where: str) -> Origin:
    """Read what `as_text` wrote. Raises ModelError."""
    try:
        facts = json.loads(text)
        if facts.pop("schema") != SCHEMA:
            raise ModelError("it was written by another version of optkit", where=where, hint="read it with that version")
        inputs = tuple(TensorInput(each["name"], each["dtype"], tuple(each["shape"])) for each in facts.pop("inputs"))
        return Origin(**{**facts, "inputs": inputs, "outputs": tuple(facts["outputs"]), "zeros": tuple(facts.get("zeros", ()))})
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError("what it says of its origin is damaged", where=where, hint="make it again") from error


_trusted: list[tuple[str, str | None]] = []


@contextmanager
def trusting(*factories: str, folder: str | None = None) -> Iterator[None]:
    """Let these factories be imported (from `folder` too) and called: the recipe or the command line names them.

    A file alone is no reason to run code.
    """
    added = [(factory, folder) for factory in factories]
    _trusted.extend(added)
    try:
        yield
    finally:
        for each in added:
            _trusted.remove(each)


def trusted() -> tuple[tuple[str, str | None], ...]:
    """What may be called now, and the folder it may be in besides the current one."""
    return tuple(_trusted)


def build(origin: Origin) -> "torch.nn.Module":
    """The module as its factory makes it, edits applied, with whatever weights it starts with.

    Raises UsageError for a factory that is not trusted, cannot be imported, or fails; ModelError where edits do not fit it.
    """
    module = _made(origin)
    modules = dict(module.named_modules())
    for path, attributes in origin.edits.items():
        if path not in modules:
            hint = "the factory must make the network that it made when the file was written"
            raise ModelError(f"it has no module {path!r} to change", where=origin.factory, hint=hint)
        for name, value in attributes.items():
            setattr(modules[path], name, tuple(value) if isinstance(value, list) else value)
    return module


def edits_of(changed: "torch.nn.Module", origin: Origin) -> dict[str, dict[str, Any]]:
    """Attributes of a module's parts (numbers, text, tuples of numbers) that differ from what the factory makes."""
    fresh = dict(_made(origin).named_modules())
    found: dict[str, dict[str, Any]] = {}
    for path, module in changed.named_modules():
        if path not in fresh:
            raise ModelError(f"the part {path!r} is new, and only sizes can be stored", where=origin.factory)
        before = vars(fresh[path])
        for name, value in vars(module).items():
            if not name.startswith("_") and name != "training" and _plain(value) and before.get(name, value) != value:
                found.setdefault(path, {})[name] = value
    return found


def _plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(isinstance(each, bool | int | float | str) for each in value)
    return isinstance(value, bool | int | float | str)


def _made(origin: Origin) -> "torch.nn.Module":
    torch = need("torch", f"the factory {origin.factory}")
    library, _, name = origin.factory.partition(":")
    if library in LIBRARIES:
        made = _from_library(library, name, dict(origin.arguments))
    else:
        folders = [folder for factory, folder in _trusted if factory == origin.factory]
        if not folders:
            hint = f"if you trust that code, say so: --factory {origin.factory}"
            raise UsageError(f"it is made by {origin.factory}, and a file is no reason to run code", hint=hint)
        made = _called(origin, folders[-1])
    if not isinstance(made, torch.nn.Module):
        raise UsageError(f"it gave {type(made).__name__}, not a torch.nn.Module", where=origin.factory, hint="return the module")
    return made


def _called(origin: Origin, folder: str | None) -> Any:
    if ":" not in origin.factory:
        hint = "write module:callable, such as nets:Classifier, timm:NAME or transformers:FOLDER"
        raise UsageError("this names nothing that could be called", where=origin.factory, hint=hint)
    factory = import_named(origin.factory, folder)
    try:
        return factory(**origin.arguments)
    except OptkitError:
        raise
    except Exception as error:  # the user's code may raise anything
        if _of_torchvision(error):
            raise _misfit("what it imports", origin.factory) from error
        given = ", ".join(f"{name}={value!r}" for name, value in origin.arguments.items())
        what = f"calling it with ({given}) raised {type(error).__name__}: {_in_one_line(error)}"
        raise UsageError(what, where=origin.factory, hint="set `arguments`, or mend the factory") from error


def _from_library(library: str, name: str, arguments: dict[str, Any]) -> Any:
    """A network by name; its weights come from `weights`, or for transformers from the folder that `name` is. Nothing is downloaded."""
    try:
        if library == "timm":
            import timm

            return timm.create_model(name, **{"pretrained": False, **arguments})
        import transformers

        transformers.utils.logging.disable_progress_bar()
        kind = getattr(transformers, arguments.pop("class", "AutoModel"))
        return kind.from_pretrained(name, **{"local_files_only": True, **arguments})
    except Exception as error:  # neither library has an error of its own
        if _of_torchvision(error):
            raise _misfit(library, f"{library}:{name}") from error
        if isinstance(error, ModuleNotFoundError) and error.name == library:
            raise UsageError(f"{library} is not installed", where=f"{library}:{name}", hint=f"pip install {library}") from error
        if library == "transformers" and isinstance(error, OSError) and not Path(name).is_dir():
            what = "there is no such folder, and the local cache of transformers has no such model"
            hint = "name a folder with config.json and weights; nothing is downloaded"
            raise UsageError(what, where=f"{library}:{name}", hint=hint) from error
        what = f"{library} cannot make it: {_in_one_line(error)}"
        raise UsageError(what, where=f"{library}:{name}", hint="check the name and `arguments`") from error


def _misfit(library: str, where: str) -> UsageError:
    hint = "install both from one index, such as PyTorch's own for CPUs"
    hint += "" if library == "timm" else "; or pip uninstall torchvision, which transformers does not need for text"
    return UsageError(f"{library} cannot be loaded: the torchvision here was built for another PyTorch", where=where, hint=hint)


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _of_torchvision(error: BaseException | None) -> bool:
    """Whether it comes of a torchvision whose operators PyTorch could not load."""
    while error is not None:
        if "torchvision::" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
