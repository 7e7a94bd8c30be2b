"""A feed that lies on the device, answered again and again."""

from collections.abc import Mapping

import numpy as np
import onnxruntime as ort

from optkit.arrays import Array
from optkit.runtimes._providers import Provider

_WITHOUT_WAITING = ort.RunOptions()
_WITHOUT_WAITING.add_run_config_entry("disable_synchronize_execution_providers", "1")


class Bound:
    """Inputs and outputs of one session bound to memory of its device, so that a call computes and copies nothing."""

    def __init__(self, session: ort.InferenceSession, provider: Provider, feed: Mapping[str, Array]) -> None:
        kind, index = provider.memory, provider.index
        self._run = session.run_with_iobinding
        self._binding = session.io_binding()
        self._elsewhere = kind != "cpu"
        self._names = [node.name for node in session.get_outputs()]
        # the binding does not own what it reads: these values live as long as the call
        self._values = [_on_device(feed[node.name], kind, index) for node in session.get_inputs()]
        for node, value in zip(session.get_inputs(), self._values, strict=True):
            self._binding.bind_ortvalue_input(node.name, value)
        for name in self._names:
            self._binding.bind_output(name, kind, index)
        if self._elsewhere:
            self._binding.synchronize_inputs()

    def __call__(self) -> None:
        """Answer the feed, and return when the answer is there."""
        self._run(self._binding)
        if self._elsewhere:
            self._binding.synchronize_outputs()

    def queue(self) -> None:
        """Have the feed answered, and return as soon as the device has been told to."""
        self._run(self._binding, _WITHOUT_WAITING)

    def answers(self) -> dict[str, Array]:
        """What the last call answered, copied off the device."""
        return dict(zip(self._names, map(np.asarray, self._binding.copy_outputs_to_cpu()), strict=True))


def _on_device(array: Array, kind: str, index: int) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), kind, index)
