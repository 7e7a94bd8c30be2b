"""Compute small values ahead of time: the shapes, axes and indices that decide the shapes of everything else."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from optkit.arrays import Array
from optkit.inspection.values import FEW, Value, known_product

CHANCE = frozenset({"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout"})


class Folding:
    """Evaluates nodes on known numbers with ONNX's reference implementation; equal nodes share one evaluator."""

    def __init__(self) -> None:
        self._evaluators: dict[tuple[bytes, int], ReferenceEvaluator | None] = {}

    def compute(
        self, node: onnx.NodeProto, inputs: Sequence[Value | None], kinds: Sequence[onnx.TypeProto], opset: int
    ) -> list[Array] | None:
        """The node's outputs as arrays, or None if they depend on more than is known or are too large. `kinds` are their types."""
        if node.domain not in ("", "ai.onnx") or node.op_type in CHANCE:
            return None
        if node.op_type in ("Shape", "Size"):
            return _shape(node, inputs[0])
        if any(value is not None and value.data is None for value in inputs) or not all(map(_small, kinds)):
            return None
        if any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute):
            return None
        return self._run(node, [None if value is None else value.data for value in inputs], opset)

    def _run(self, node: onnx.NodeProto, arrays: Sequence[Array | None], opset: int) -> list[Array] | None:
        alike = _unnamed(node)
        key = (alike.SerializeToString(deterministic=True), opset)
        try:
            if key not in self._evaluators:
                self._evaluators[key] = ReferenceEvaluator(alike, opsets={"": opset})
            evaluator = self._evaluators[key]
            if evaluator is None:
                return None
            feed: Mapping[str, Array] = {f"i{k}": array for k, array in enumerate(arrays) if array is not None}
            with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
                results = evaluator.run(None, dict(feed))
        except Exception:  # not implemented for this type or opset, or wrong numbers: then it is not known
            self._evaluators[key] = None
            return None
        arrays_out = [np.asarray(each) for each in results]
        return arrays_out if all(each.size <= FEW and each.dtype.kind in "biuf" for each in arrays_out) else None


def _shape(node: onnx.NodeProto, value: Value | None) -> list[Array] | None:
    dims = None if value is None else value.dims
    if dims is None:
        return None
    if node.op_type == "Size":
        size = known_product(dims)
        return None if size is None else [np.asarray(size, np.int64)]
    ends = {a.name: a.i for a in node.attribute}
    part = dims[ends.get("start", 0) : ends.get("end", len(dims))]
    return None if None in part else [np.asarray(part, np.int64)]


def _small(kind: onnx.TypeProto) -> bool:
    if kind.WhichOneof("value") != "tensor_type":
        return False
    dims = [d.dim_value for d in kind.tensor_type.shape.dim]
    return known_product(dims) is not None and (known_product(dims) or 0) <= FEW


def _unnamed(node: onnx.NodeProto) -> onnx.NodeProto:
    alike = onnx.NodeProto()
    alike.CopyFrom(node)
    alike.ClearField("name")
    alike.ClearField("doc_string")
    alike.ClearField("metadata_props")
    alike.input[:] = [f"i{k}" if name else "" for k, name in enumerate(node.input)]
    alike.output[:] = [f"o{k}" if name else "" for k, name in enumerate(node.output)]
    return alike
