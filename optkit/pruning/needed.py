"""torch-pruning, which comes with the extra `torch`."""

from importlib import import_module
from types import ModuleType

from optkit.errors import MissingLibrary
from optkit.needs import need


def torch_pruning() -> ModuleType:
    """The library, or MissingLibrary with how to install it."""
    need("torch", "pruning channels of a PyTorch model")
    try:
        return import_module("torch_pruning")
    except ModuleNotFoundError as error:
        what = "pruning channels of a PyTorch model needs torch-pruning, which is not installed"
        raise MissingLibrary(what, hint="pip install 'optkit[torch]'") from error
