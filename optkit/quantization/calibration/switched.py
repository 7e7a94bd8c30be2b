"""The float model with more inputs, which say what is rounded in it: every answer costs a run of one session, and no new one."""

from collections.abc import Iterable, Mapping

import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.calibration.watched import open_watched
from optkit.quantization.fidelity.reference import Reference
from optkit.quantization.graphs import add_node

Given = Mapping[str, Array]


class SwitchedModel:
    """`made` is `model` with such inputs; with those of `off` it gives the answers of `model`."""

    def __init__(self, model: ir.Model, made: ir.Model, feeds: Iterable[Given], off: Given, threads: int) -> None:
        self.session = open_watched(made, threads)
        self.feeds = list(feeds)
        self.reference = Reference(model, self.session, [{**feed, **off} for feed in self.feeds])

    def noise(self, switches: Given, first: int | None = None) -> float:
        """At the outputs, relative to what varies in them, with the switches so; on the first few examples or on all."""
        self.reference.feeds = [{**feed, **switches} for feed in self.feeds]
        return float(10 ** (-self.reference.compare(self.session, first).sqnr / 10))


def with_error(place: ir.Node, exact: ir.Value, rounded: ir.Value, share: ir.Value, *, after: bool = False) -> ir.Value:
    """exact + share × (rounded − exact), computed before a node or after it: a share of 0 switches the rounding off."""
    error = add_node(place, "Sub", [rounded, exact], "error", after=after)
    shown = add_node(error if after else place, "Mul", [error.outputs[0], share], "shown", after=after)
    return add_node(shown if after else place, "Add", [exact, shown.outputs[0]], "noisy", after=after).outputs[0]
