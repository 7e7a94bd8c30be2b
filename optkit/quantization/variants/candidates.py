"""Which treatments are worth trying on a graph: a few that suit its operators, the likeliest first."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import onnx_ir as ir

from optkit.quantization.blocks.layers import find_weights
from optkit.quantization.graphs import all_graphs
from optkit.quantization.integer_graph.insert_dynamic import can_be_dynamic
from optkit.quantization.integer_graph.insert_recurrent import can_be_recurrent
from optkit.quantization.integer_graph.regions import region_nodes
from optkit.quantization.operators import weight_of, weighted_nodes
from optkit.quantization.variants.treatment import Treatment, Way

STORED = Treatment("8-bit weights, float compute")
"""What is left when computing in integers does not pay: the file is smaller, the speed and the graph stay."""

GROUP_SIZES = (128, 32)
HEAVY = 0.1
"""Share of all weights."""


def candidates(
    model: ir.Model, method: str, calibrated: bool, exclude: Sequence[str] = (), portable: bool = True, *, outliers_known: bool = False
) -> list[Treatment]:
    """Treatments to race. `method` narrows them: `auto`, `static`, `dynamic` or `weights`; static ones need calibration, smoothed ones
    need it or `outliers_known`.

    Unless `portable`, CPUs that add products in 16 bits may give other answers.
    """
    weighted = [n for n in weighted_nodes(model) if not excluded(n, exclude)]
    convolutions = [n for n in weighted if n.op_type == "Conv"]
    gemms = [n for n in weighted if n.op_type == "Gemm"]
    products = [n for n in weighted if n.op_type == "MatMul"]
    recurrent = _all([n for n in _everywhere(model) if can_be_recurrent(n) and not excluded(n, exclude)], Way.DYNAMIC)
    found: list[Treatment] = []
    if method in ("auto", "static") and calibrated and weighted:
        fixed = {**_all(convolutions, Way.STATIC), **_all(gemms, Way.STATIC), **(recurrent if method == "auto" else {})}
        region = {**fixed, **_all(products, Way.STATIC_FLOAT_OUT)}
        around = region_nodes(model, [*convolutions, *gemms], lambda node: not excluded(node, exclude), readers=products)
        if around:
            found.append(Treatment("static, whole regions", {**region, **_all(around, Way.STATIC)}))
        found.append(Treatment("static", region))
        if products and fixed and method == "auto":
            found.append(Treatment("static, dynamic matrix products", {**fixed, **_all(products, Way.DYNAMIC)}))
            found.append(Treatment("static, float matrix products", fixed))
        if method == "auto" and (last := _heavy_last(gemms, weighted)) and len(last) < len(weighted):
            rest = [n for n in (*convolutions, *gemms) if n not in last]
            around = region_nodes(model, rest, lambda node: not excluded(node, exclude), readers=products)
            ways = {**region, **_all(around, Way.STATIC), **_all(last, Way.DYNAMIC)}
            found.append(Treatment("static, dynamic last product", ways))
    if method in ("auto", "dynamic"):
        products_anywhere = [n for n in _everywhere(model) if can_be_dynamic(n) and not excluded(n, exclude)]
        dynamic = {**_all(products_anywhere, Way.DYNAMIC), **recurrent}
        if dynamic:
            found.append(Treatment("dynamic", dynamic))
        if products_anywhere and (calibrated or outliers_known):
            found.append(Treatment("dynamic, smoothed", dynamic, smooth=True))
    if method == "weights":
        found += _in_groups(model, exclude)
    if method in ("auto", "weights"):
        found.append(STORED)
    return [t if portable or not t.ways else replace(t, portable=False) for t in found]


def excluded(node: ir.Node, patterns: Sequence[str]) -> bool:
    """Whether a node's name or operator matches one of the user's patterns."""
    return any(fnmatchcase(str(node.name), p) or fnmatchcase(node.op_type, p) for p in patterns)


def _in_groups(model: ir.Model, exclude: Sequence[str]) -> list[Treatment]:
    """Weights that stay in 8 bits in memory: larger groups are faster, smaller ones more faithful."""
    weights = find_weights(model, lambda node: not excluded(node, exclude), tables=False)
    ways = _all([use.node for weight in weights for use in weight.uses], Way.GROUPS)
    return [Treatment(f"8-bit weights, groups of {size}", ways, group_size=size) for size in GROUP_SIZES if ways]


def _all(nodes: Collection[ir.Node], way: Way) -> dict[str, Way]:
    return {str(n.name): way for n in nodes}


def _heavy_last(gemms: Sequence[ir.Node], weighted: Sequence[ir.Node]) -> list[ir.Node]:
    """Those that no other layer follows, where they hold many of the weights: integers gain there, but 256 levels are few for the
    scores of thousands of classes.
    """
    layers, leading = set(weighted), set[ir.Node]()
    waiting = [v.producer() for n in weighted for v in n.inputs[:1] if v is not None]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in leading:
            leading.add(node)
            waiting += [v.producer() for v in node.inputs if v is not None]
    sizes = {n: weight_of(n).size for n in layers}  # type: ignore[union-attr]
    last = [n for n in gemms if n not in leading]
    return last if sum(sizes[n] for n in last) >= HEAVY * sum(sizes.values()) else []


def _everywhere(model: ir.Model) -> list[ir.Node]:
    return [n for g in all_graphs(model) for n in g]
