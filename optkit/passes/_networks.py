"""PyTorch networks that parameters of passes name, besides the model that a pass is given."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from optkit.errors import UsageError
from optkit.formats import digest_of
from optkit.formats.safetensors_header import digest_of_file, read_metadata
from optkit.formats.torch import ORIGIN, TorchModel, load_torch, load_weights
from optkit.formats.torch_origin import LIBRARIES, Origin, build
from optkit.passes._trains import recipe_folder
from optkit.training.functions import code_digest


class Network(BaseModel):
    """What makes a network, as `model:` of a recipe says it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    factory: str = Field(min_length=1, description="module:callable of your own, timm:NAME or transformers:FOLDER.")
    arguments: dict[str, Any] = Field({}, description="What the factory is called with.")
    weights: str | None = Field(None, description="A .safetensors file or a state dict; without it as the factory makes it.")

    @field_serializer("weights", when_used="json")
    def _name_only(self, weights: str | None) -> str | None:
        return None if weights is None else Path(weights).name


def load_network(given: Network) -> TorchModel:
    """The network with its weights. A file of optkit's whose factory is the one given brings its changed sizes along.

    Raises UsageError or ModelError.
    """
    weights = None if given.weights is None else Path(given.weights)
    if weights is not None and weights.suffix == ".safetensors" and weights.is_file() and ORIGIN in read_metadata(weights):
        model = load_torch(weights)
        if model.origin.factory != given.factory:
            what = f"it holds weights of {model.origin.factory}, not of {given.factory}"
            raise UsageError(what, where=str(weights), hint="name the factory that the file names")
        if given.arguments and dict(given.arguments) != dict(model.origin.arguments):
            what = f"its network was made with the arguments {dict(model.origin.arguments)}, not with {dict(given.arguments)}"
            raise UsageError(what, where=str(weights), hint="leave the arguments out: the file knows them")
        return model
    origin = Origin(given.factory, given.arguments)
    module = build(origin)
    if weights is not None:
        load_weights(module, weights)
    return TorchModel(module.eval(), origin)


def load_file(path: Path) -> TorchModel:
    """A PyTorch model in a file. Raises UsageError, with what a recipe says, where nobody vouches for its factory."""
    try:
        return load_torch(path)
    except UsageError as error:
        if error.hint and "--factory" in error.hint:
            factory = error.hint.rpartition(" ")[2]
            error.hint = f"if you trust that code, name it: {{factory: {factory}, weights: {path.name}}}, or --teacher-factory"
        raise


def network_digests(name: str, given: Network) -> Mapping[str, str]:
    """What decides how a network answers besides the parameter itself."""
    found = {}
    if given.factory.partition(":")[0] not in LIBRARIES:
        found[f"{name} code"] = code_digest(given.factory, recipe_folder())
    if given.weights is not None:
        found[f"{name} weights"] = digest_of_any(Path(given.weights))
    return found


def digest_of_any(path: Path) -> str:
    """Of a model with the files that belong to it, or of a file that is none, such as a state dict."""
    return digest_of(path) if path.suffix == ".onnx" else digest_of_file(path)
