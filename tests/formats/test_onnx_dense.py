"""Sparse initializers, in both of ONNX's forms, in branches too."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

from optkit.formats.onnx import load_model

DENSE = np.zeros((3, 4), np.float32)
DENSE[0, 1], DENSE[2, 3], DENSE[2, 0] = 1.5, -2, 7


def sparse(coordinates: bool) -> onnx.SparseTensorProto:
    places = np.argwhere(DENSE) if coordinates else np.flatnonzero(DENSE)
    values = numpy_helper.from_array(DENSE[DENSE != 0], "w")
    return helper.make_sparse_tensor(values, numpy_helper.from_array(places.astype(np.int64), "at"), [3, 4])


@pytest.mark.parametrize("coordinates", [True, False])
@pytest.mark.parametrize("inside", [True, False])
def test_what_is_read_is_dense(coordinates: bool, inside: bool, tmp_path: Path) -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]> g (bool t, float[N,3] x) => (float[N,4] y) { y = If (t) <
            then_branch = a () => (float[N,4] p) { p = MatMul(x, w) }, else_branch = b () => (float[N,4] q) { q = MatMul(x, v) }> }"""
    )
    model.graph.initializer.append(numpy_helper.from_array(DENSE, "v"))
    holder = model.graph.node[0].attribute[0].g if inside else model.graph
    holder.sparse_initializer.append(sparse(coordinates))
    onnx.save(model, tmp_path / "model.onnx")
    read = load_model(tmp_path / "model.onnx")
    graph = next(g for g in read.graphs() if "w" in g.initializers)
    assert (graph is read.graph) != inside
    tensor = graph.initializers["w"].const_value
    assert tensor is not None
    np.testing.assert_array_equal(tensor.numpy(), DENSE)
