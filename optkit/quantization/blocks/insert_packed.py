"""Weights that stay in groups while the model runs: MatMulNBits multiplies by them, GatherBlockQuantized looks them up."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from optkit.quantization.blocks.blocked import Blocked
from optkit.quantization.blocks.layers import Reader, Use, Weight
from optkit.quantization.blocks.pack import packed_integers, packed_zeros, stored_scales
from optkit.quantization.graphs import add_constant, add_node, constant_array, take_place
from optkit.quantization.operators import attribute

MICROSOFT = "com.microsoft"
INT8_ACTIVATIONS, FLOAT_ACTIVATIONS = 4, 0
"""ONNX Runtime's accuracy levels: activations rounded to int8 in groups of their own, or taken as they are."""


def insert_packed(model: ir.Model, weights: Sequence[Weight], blocked: Mapping[str, Blocked], level: int) -> None:
    """Let every reader of `weights` read `blocked` (by name of the weight), in place.

    8-bit weights always have int8 activations: for others the runtime has no kernel and takes ten times as long.
    """
    model.opset_imports.setdefault(MICROSOFT, 1)
    for weight in weights:
        constants = _Constants(weight, blocked[weight.name])
        for use in weight.uses:
            if use.reader is Reader.GATHER:
                _look_up(use.node, constants)
            else:
                _multiply(use, constants, level if constants.held.scheme.bits == 4 else INT8_ACTIVATIONS)


class _Constants:
    """What the readers of one weight share; made when the first of them asks."""

    def __init__(self, weight: Weight, held: Blocked) -> None:
        self.held = held
        self.name = weight.name
        home = weight.value.graph
        assert isinstance(home, ir.Graph)
        self.graph = home
        scheme = held.scheme
        whole = held.integers.shape[1] % scheme.size == 0
        self.both = whole and len({use.reader is Reader.GATHER for use in weight.uses}) == 2
        """Whether a table and a product read the same bytes, in two shapes."""
        self.scales = add_constant(home, f"{self.name}_scales", stored_scales(held))
        self._zeros: dict[ir.Graph, ir.Value] = {}
        self._table: ir.Value | None = None
        self._matrix: ir.Value | None = None

    def zeros_beside(self, node: ir.Node) -> ir.Value | None:
        """Zero points in the node's own graph: ONNX Runtime up to 1.28 takes those of a product in a branch for the middle otherwise."""
        zeros = packed_zeros(self.held)
        if zeros is None:
            return None
        graph = node.graph
        assert isinstance(graph, ir.Graph)
        if graph not in self._zeros:
            self._zeros[graph] = add_constant(graph, f"{self.name}_zeros", zeros)
        return self._zeros[graph]

    def table(self) -> ir.Value:
        """[rows, bytes of a row]"""
        if self._table is None:
            scheme, inputs = self.held.scheme, self.held.integers.shape[1]
            integers = packed_integers(self.held).reshape(len(self.held.integers), -1)[:, : inputs * scheme.bits // 8]
            self._table = add_constant(self.graph, f"{self.name}_table", integers)
        return self._table

    def matrix(self) -> ir.Value:
        """[rows, groups, bytes of a group]"""
        if self._matrix is None:
            integers = packed_integers(self.held)
            if self.both:
                shape = add_constant(self.graph, f"{self.name}_shape", np.array(integers.shape, np.int64))
                self._matrix = add_node(self.graph[0], "Reshape", [self.table(), shape], f"{self.name}_matrix").outputs[0]
            else:
                self._matrix = add_constant(self.graph, f"{self.name}_matrix", integers)
        return self._matrix


def _multiply(use: Use, constants: _Constants, level: int) -> None:
    node, held = use.node, constants.held
    rows, inputs = held.integers.shape
    bias, added = _bias_of(node, rows, constants) if use.reader is Reader.GEMM else (None, None)
    given = [node.inputs[0], constants.matrix(), constants.scales, constants.zeros_beside(node), None, bias]
    while given[-1] is None:
        given.pop()
    made = add_node(
        node,
        "MatMulNBits",
        given,
        f"{node.outputs[0].name}_blocks",
        domain=MICROSOFT,
        K=inputs,
        N=rows,
        bits=held.scheme.bits,
        block_size=held.scheme.size,
        accuracy_level=level,
    )
    if added is not None:
        made.outputs[0].type = node.outputs[0].type
        made = add_node(node, "Add", [made.outputs[0], added], f"{node.outputs[0].name}_sum")
    _take_over(node, made)


def _bias_of(node: ir.Node, rows: int, constants: _Constants) -> tuple[ir.Value | None, ir.Value | None]:
    """A Gemm's bias where it is one number for each output, else what to add afterwards."""
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is None:
        return None, None
    array = constant_array(bias)
    if array is None:
        return None, bias
    scaled = (array * attribute(node, "beta", 1.0)).astype(array.dtype)
    if array.size == rows and array.ndim <= 2 and array.shape[-1] == rows:
        return add_constant(constants.graph, f"{bias.name}_flat", scaled.reshape(rows)), None
    return None, add_constant(constants.graph, f"{bias.name}_scaled", scaled)


def _look_up(node: ir.Node, constants: _Constants) -> None:
    scheme, zeros = constants.held.scheme, constants.zeros_beside(node)
    given = [constants.table(), node.inputs[1], constants.scales, zeros]
    made = add_node(
        node,
        "GatherBlockQuantized",
        given if zeros is not None else given[:-1],
        f"{node.outputs[0].name}_rows",
        domain=MICROSOFT,
        bits=scheme.bits,
        block_size=scheme.size,
        gather_axis=0,
        quantize_axis=1,
    )
    _take_over(node, made)


def _take_over(node: ir.Node, made: ir.Node) -> None:
    """Let `made` stand where `node` stood, under the same names."""
    made.name = node.name
    take_place(node, made.outputs[0])
