"""Weights in groups in the file only: standard operators turn them into floats, which the runtime does once, when it loads the model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.blocks.blocked import Blocked, grouped
from optkit.quantization.blocks.layers import Weight, alpha_of
from optkit.quantization.blocks.pack import halves
from optkit.quantization.graphs import add_constant, add_node


def insert_stored(model: ir.Model, weights: Sequence[Weight], blocked: Mapping[str, Blocked]) -> None:
    """Replace every constant of `weights` by what `blocked` (by name of the weight) stands for, in place."""
    for weight in weights:
        home = weight.value.graph
        assert isinstance(home, ir.Graph)
        real = _Unpacking(home, weight, blocked[weight.name]).real()
        weight.value.replace_all_uses_with(real)
        for copy in weight.copies:
            last = real.producer()
            assert last is not None
            turned = add_node(last, "Transpose", [real], f"{copy.name}_float", after=True, perm=[1, 0])
            copy.replace_all_uses_with(turned.outputs[0])


class _Unpacking:
    """The chain of operators from bytes to a float weight, at the head of a graph."""

    def __init__(self, graph: ir.Graph, weight: Weight, held: Blocked) -> None:
        self.graph = graph
        self.before = graph[0]
        self.name = weight.name
        self.held = held
        self.rows_first = weight.rows_first
        self.alpha = alpha_of(weight.uses[0].node)

    def real(self) -> ir.Value:
        scheme, (rows, inputs) = self.held.scheme, self.held.integers.shape
        kind = ir.DataType.FLOAT16 if scheme.half else ir.DataType.FLOAT
        along = 2 if self.rows_first else 1
        value = self._integers(along)
        value = self._node("Cast", [value], to=int(kind))
        if scheme.symmetric:
            zeros = self._constant("zeros", np.array(scheme.middle, kind.numpy()))
        else:
            zeros = self._node("Cast", [self._constant("zeros", self._placed(self.held.zeros[..., None]))], to=int(kind))
        value = self._node("Sub", [value, zeros])
        scales = (self.held.scales / np.float32(self.alpha)).astype(kind.numpy())
        value = self._node("Mul", [value, self._constant("scales", self._placed(scales[..., None]))])
        padded = scheme.groups(inputs) * scheme.size
        shape = (rows, padded) if self.rows_first else (padded, rows)
        value = self._node("Reshape", [value, self._constant("shape", np.array(shape, np.int64))])
        if padded != inputs:
            bounds = [self._constant(word, np.array([n], np.int64)) for word, n in (("start", 0), ("end", inputs), ("axis", along - 1))]
            value = self._node("Slice", [value, *bounds])
        return value

    def _integers(self, along: int) -> ir.Value:
        if self.held.scheme.bits == 8:
            return self._constant("int8", self._placed(grouped(self.held.integers, self.held.scheme.size)))
        pairs = self._constant("int4", self._placed(halves(self.held)))
        lower = self._node("Mod", [pairs, self._constant("sixteen", np.array(16, np.uint8))])
        upper = self._node("BitShift", [pairs, self._constant("four", np.array(4, np.uint8))], direction="RIGHT")
        return self._node("Concat", [lower, upper], axis=along)

    def _placed(self, array: Array) -> Array:
        """[rows, groups, …] as the weight lies in the graph: [groups, …, rows] where its rows are columns."""
        return array if self.rows_first else np.ascontiguousarray(np.moveaxis(array, 0, -1))

    def _constant(self, word: str, array: Array) -> ir.Value:
        return add_constant(self.graph, f"{self.name}_{word}", array)

    def _node(self, op_type: str, inputs: list[ir.Value | None], **attributes: Any) -> ir.Value:
        return add_node(self.before, op_type, inputs, f"{self.name}_{op_type.lower()}", **attributes).outputs[0]
