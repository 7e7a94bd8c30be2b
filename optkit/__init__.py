"""optkit makes trained models smaller and faster, and proves what that cost."""

from importlib import import_module
from typing import TYPE_CHECKING

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
