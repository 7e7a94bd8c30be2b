"""Portions hold every layer once, in order, and no more than fits unless a layer alone does not."""

from itertools import pairwise

import onnx_ir as ir
from hypothesis import given
from hypothesis import strategies as st

from optkit.quantization.calibration.portions import portions


@given(sizes=st.lists(st.integers(0, 12), max_size=20))
def test_portions_are_as_large_as_fits(sizes: list[int]) -> None:
    nodes = [ir.node("Relu", []) for _ in sizes]
    size = dict(zip(map(id, nodes), sizes, strict=True))
    found = portions(nodes, lambda node: size[id(node)], 10)
    assert [n for part in found for n in part] == nodes
    weights = [[size[id(n)] for n in part] for part in found]
    assert all(len(part) == 1 or sum(part) <= 10 for part in weights)
    assert all(sum(part) + following[0] > 10 for part, following in pairwise(weights))
