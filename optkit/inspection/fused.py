"""Which operators of a file each node computes that ONNX Runtime runs.

The runtime fuses operators, and names what comes of it anew. What such a node gives stays: as a tensor, or within the node's name where
it is in a layout of the processor's own. What it computes is what lies between that and the tensors that the runtime still has.
"""

import re
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import onnx

from optkit.inspection.walk import bodies_of

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

KINDS = {"convolution": ("Conv",), "product": ("MatMul", "Gemm"), "attention": ("Attention",)}
RENAMED = re.compile(r"(?P<stem>.+?)(?P<layout>_nchwc)?(_token_\d+)?")
"""`_nchwc` stands behind the tensor that a node gives, and `_token_` with a number behind any name that was taken already."""


@dataclass(frozen=True)
class Fused:
    """A node as the runtime runs it."""

    name: str
    """As a profile has it."""
    operator: str
    computes: tuple[str, ...]
    """Operators of the file, each by the first tensor that it gives."""


def fused_nodes(graph: onnx.GraphProto, rewritten: onnx.GraphProto, heavy: Collection[str]) -> list[Fused]:
    """Those nodes of a rewritten graph that compute `heavy` operators of the graph it was made of, which go by what they give.

    What cannot be told for certain is left out: a tensor that two branches call the same, a name that two nodes have.
    """
    file = _File(graph, heavy)
    ends = [(node, file.given_by(node)) for node in nodes_within(rewritten)]
    kept = {tensor for node, _ in ends for tensor in (*node.input, *node.output)}
    kept |= {tensor for _, given in ends for operator in given for tensor in operator.output}
    found = [file.fused(node, file.behind(node, given, kept)) for node, given in ends]
    named = _told_once(((each.name, each.operator), each) for each in found if each.name)
    computed = _told_once((tensor, each) for each in named.values() for tensor in each.computes)
    return [each for each in named.values() if each.computes and all(tensor in computed for tensor in each.computes)]


def nodes_within(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those of branches and loops too."""
    for node in graph.node:
        yield node
        for _, body in bodies_of(node):
            yield from nodes_within(body)


def first_tensor(node: onnx.NodeProto) -> str:
    """What tells one operator from all others, also where it has no name; an LSTM may leave its first output out."""
    return next(filter(None, node.output), "")


def kind_of(operator: str) -> str:
    """What the runtime may turn into each other: a product with an addition becomes a Gemm."""
    return next((kind for kind, names in KINDS.items() if any(name in operator for name in names)), operator)


class _File:
    """The graph as it is written."""

    def __init__(self, graph: onnx.GraphProto, heavy: Collection[str]) -> None:
        nodes = list(nodes_within(graph))
        self.makers = _told_once((tensor, node) for node in nodes for tensor in node.output if tensor)
        self.heavy = self.makers.keys() & set(heavy)
        # the runtime counts what it runs, and Constants are none of that
        running = (node for node in graph.node if node.op_type != "Constant")
        self.numbered = {first_tensor(node): f"{node.op_type}_{place}" for place, node in enumerate(running) if not node.name}
        self.named = _told_once((node.name, node) for node in nodes if node.name)

    def given_by(self, node: onnx.NodeProto) -> Sequence[onnx.NodeProto]:
        """The operators whose output a node of the runtime gives."""
        found = [self.makers[tensor] for tensor in node.output if tensor in self.makers]
        if found or not (told := RENAMED.fullmatch(node.name)):
            return found
        same = self.makers.get(told["stem"]) if told["layout"] else self.named.get(node.name) or self.named.get(told["stem"])
        return [same] if same else []

    def behind(self, node: onnx.NodeProto, ends: Iterable[onnx.NodeProto], kept: Collection[str]) -> tuple[str, ...]:
        """Heavy operators between what a node gives and what the runtime keeps."""
        found, left, seen = [], list(ends), set[str]()
        while left:
            operator = left.pop()
            tensor = first_tensor(operator)
            if tensor in seen:
                continue
            seen.add(tensor)
            heavy = tensor in self.heavy
            if heavy and _can_compute(node.op_type, operator.op_type):
                found.append(tensor)
            if not heavy or kind_of(node.op_type) == "attention":
                left += [self.makers[taken] for taken in operator.input if taken in self.makers and taken not in kept]
        return tuple(found)

    def fused(self, node: onnx.NodeProto, computes: tuple[str, ...]) -> Fused:
        """A node under the name that a profile has for it: its operator and place where it has none."""
        same = (self.numbered.get(tensor, "") for tensor in computes if self.makers[tensor].op_type == node.op_type)
        return Fused(node.name or next(same, ""), node.op_type, computes)


def _can_compute(runs: str, operator: str) -> bool:
    return operator in runs or kind_of(runs) == kind_of(operator) or (kind_of(runs), kind_of(operator)) == ("attention", "product")


def _told_once(pairs: Iterable[tuple[K, V]]) -> dict[K, V]:
    """Without what is told twice."""
    found, twice = dict[K, V](), set[K]()
    for key, value in pairs:
        if key in found:
            twice.add(key)
        found[key] = value
    return {key: value for key, value in found.items() if key not in twice}
