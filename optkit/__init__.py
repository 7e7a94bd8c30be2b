"""optkit makes trained models smaller and faster, and proves what that cost."""

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

# since 1.29 ONNX Runtime reports the models it opens to its makers, unless this is set before it is imported; 0 lets it
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from optkit.api import compare as compare
    from optkit.api import quantize as quantize
    from optkit.api import run as run

__version__ = "0.1.0"
__all__ = ["compare", "quantize", "run"]


def __getattr__(name: str) -> object:
    """Load the Python API on first use, so that `import optkit` costs nothing."""
    if name in __all__:
        return getattr(import_module("optkit.api"), name)
    raise AttributeError(f"module 'optkit' has no attribute {name!r}")


class _Verbs(ModuleType):
    """Importing the module `optkit.compare` must not hide the verb `optkit.compare`: Python would bind the module to that name."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Verbs
