"""From a device's word to one of ONNX Runtime's execution providers."""

from dataclasses import dataclass

import onnxruntime as ort

CPU = "CPUExecutionProvider"


@dataclass(frozen=True)
class Provider:
    """An execution provider that is there, and how to open a model on it."""

    word: str
    """What the user called the device."""
    name: str
    memory: str = "cpu"
    """Where its tensors live, as ONNX Runtime calls it."""
    index: int = 0

    def open(self, model: str | bytes, options: ort.SessionOptions) -> ort.InferenceSession:
        """Create the session on this provider alone, with the CPU for nodes that it cannot run."""
        return ort.InferenceSession(model, options, providers=[CPU], enable_fallback=0)


def find_provider(device: str) -> Provider:
    """The provider that `device` names."""
    return Provider("cpu", CPU)
