"""Sparse initializers as ordinary ones: onnx-ir has no place for them."""

import numpy as np
import onnx
from onnx import numpy_helper


def make_dense(graph: onnx.GraphProto) -> None:
    """Replace every sparse initializer by a dense one of the same name, in place, in branches and loop bodies too.

    Its places are numbers into the flattened tensor, or one row of coordinates for each value, as ONNX has both.
    """
    for sparse in graph.sparse_initializer:
        values, places = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
        dense = np.zeros(list(sparse.dims), values.dtype)
        dense[np.unravel_index(places, dense.shape) if places.ndim == 1 else tuple(places.T)] = values
        graph.initializer.append(numpy_helper.from_array(dense, sparse.values.name))
    del graph.sparse_initializer[:]
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs) if attribute.HasField("g") or attribute.graphs else ():
                make_dense(inner)
