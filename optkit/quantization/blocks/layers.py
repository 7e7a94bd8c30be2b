"""Which weights can be held in groups: those of matrix products, and embedding tables, in branches and loop bodies too."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.graphs import all_graphs, constant_array, constant_tensor
from optkit.quantization.operators import attribute, is_standard

SMALLEST = 4096
"""Weights; smaller ones are left as they are: they cost neither memory nor time."""
SHORTEST = 16
"""Inputs that a row needs: a group has no less."""
FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16})


class Reader(StrEnum):
    """How a node reads a weight."""

    MATMUL = "MatMul"
    """As the second factor, [inputs, outputs]."""
    GEMM = "Gemm"
    """As a MatMul does, or turned, and adds a bias."""
    GATHER = "Gather"
    """As a table, one row for each number."""


@dataclass(frozen=True)
class Use:
    """A node that reads a weight; `turned` where it wants [inputs, outputs] and the weight's rows are its columns."""

    node: ir.Node
    reader: Reader
    turned: bool
    through: ir.Node | None = None
    """A Transpose between the weight and the node."""


@dataclass
class Weight:
    """A constant that all its readers can take in groups. Rows are outputs of a product, or entries of a table."""

    value: ir.Value
    rows_first: bool
    """Whether the constant is [rows, inputs] as it is stored."""
    uses: list[Use] = field(default_factory=list)
    copies: list[ir.Value] = field(default_factory=list)
    """Constants that hold the same numbers turned, as exporters store tied embeddings."""

    @property
    def name(self) -> str:
        return str(self.value.name)

    @property
    def half(self) -> bool:
        return bool(self.value.dtype == ir.DataType.FLOAT16 or _tensor(self.value).dtype == ir.DataType.FLOAT16)

    @property
    def is_table(self) -> bool:
        """Whether it is only looked up."""
        return all(use.reader is Reader.GATHER for use in self.uses)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and inputs."""
        first, second = (int(str(size)) for size in _tensor(self.value).shape)
        return (first, second) if self.rows_first else (second, first)

    def rows(self) -> Array:
        """[rows, inputs] float32, scaled as its readers want it."""
        array = constant_array(self.value)
        assert array is not None
        real = array.astype(np.float32)
        scale = next((alpha_of(use.node) for use in self.uses), 1.0)
        real = real if scale == 1.0 else real * np.float32(scale)
        return np.ascontiguousarray(real if self.rows_first else real.T)


def find_weights(model: ir.Model, wanted: Callable[[ir.Node], bool] = lambda node: True, tables: bool = True) -> list[Weight]:
    """Weights in the order of the graphs. A weight is left out where any reader of it cannot take groups or is not `wanted`."""
    found: dict[ir.Value, Weight] = {}
    for graph in all_graphs(model):
        for node in graph:
            for value in _constants_read(node):
                if value not in found and (weight := _weight(value)) is not None:
                    found[value] = weight
    kept = [
        w for w in found.values() if all(wanted(u.node) for u in w.uses) and (tables or not any(u.reader is Reader.GATHER for u in w.uses))
    ]
    return _tied(kept)


def alpha_of(node: ir.Node) -> float:
    return float(attribute(node, "alpha", 1.0)) if node.op_type == "Gemm" else 1.0


def is_finite(weight: Weight) -> bool:
    array = constant_array(weight.value)
    return array is not None and bool(np.isfinite(array).all())


def _constants_read(node: ir.Node) -> Iterator[ir.Value]:
    for value in node.inputs:
        if value is not None and constant_tensor(value) is not None:
            yield value


def _weight(value: ir.Value) -> Weight | None:
    tensor = _tensor(value)
    if tensor.dtype not in FLOATS or len(tensor.shape) != 2 or tensor.size < SMALLEST or value.is_graph_output():
        return None
    uses: list[Use] = []
    for use in value.uses():
        if use.node.op_type == "Transpose" and is_standard(use.node) and not use.node.outputs[0].is_graph_output():
            inner = [_use(u.node, u.idx, use.node) for u in use.node.outputs[0].uses()]
        else:
            inner = [_use(use.node, use.idx, None)]
        if not inner or any(u is None for u in inner):
            return None
        uses += [u for u in inner if u is not None]
    sides = {use.turned for use in uses}
    if len(sides) != 1 or len({alpha_of(use.node) for use in uses}) > 1:
        return None
    weight = Weight(value, not sides.pop(), uses)
    return weight if weight.shape[1] >= SHORTEST and is_finite(weight) else None


def _use(node: ir.Node, place: int, through: ir.Node | None) -> Use | None:
    """How a node reads a constant, or the Transpose of one; None where it cannot take groups."""
    if not is_standard(node):
        return None
    flipped = through is not None
    if node.op_type == "MatMul" and place == 1 and _has_rows(node.inputs[0]):
        return Use(node, Reader.MATMUL, not flipped, through)
    if node.op_type == "Gemm" and place == 1 and not attribute(node, "transA", 0) and _bias_fits(node):
        return Use(node, Reader.GEMM, bool(attribute(node, "transB", 0)) == flipped, through)
    if node.op_type == "Gather" and place == 0 and not flipped and attribute(node, "axis", 0) == 0:
        return Use(node, Reader.GATHER, False)
    return None


def _has_rows(value: ir.Value | None) -> bool:
    """Whether the first factor is computed and no single vector."""
    return value is not None and constant_tensor(value) is None and (value.shape is None or len(value.shape) >= 2)


def _bias_fits(node: ir.Node) -> bool:
    """A Gemm's sum can follow as an Add; scaling it cannot, unless it is constant."""
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    return bias is None or attribute(node, "beta", 1.0) == 1.0 or constant_tensor(bias) is not None


def _tied(weights: list[Weight]) -> list[Weight]:
    """Merge a table and a constant of a product that holds the same numbers turned."""
    merged: list[Weight] = []
    for weight in weights:
        twin = next((w for w in merged if w.shape == weight.shape and w.half == weight.half and _same(w, weight)), None)
        if twin is None:
            merged.append(weight)
            continue
        twin.copies.append(weight.value)
        twin.uses += weight.uses
    return merged


def _same(one: Weight, other: Weight) -> bool:
    if one.is_table == other.is_table or alpha_of(one.uses[0].node) != alpha_of(other.uses[0].node):
        return False
    first, second = one.rows(), other.rows()
    return bool(np.array_equal(first[:2], second[:2]) and np.array_equal(first, second))


def _tensor(value: ir.Value) -> ir.TensorProtocol:
    tensor = constant_tensor(value)
    assert tensor is not None
    return tensor
