"""A node's attributes as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir


@dataclass(frozen=True)
class Attributes:
    """What an operator may know of its node besides its inputs."""

    values: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1

    def get(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, default)


def attributes_of(node: ir.Node) -> Attributes:
    """Those of a node; tensors among them as arrays."""
    values = {name: _plain(each) for name, each in node.attributes.items()}
    return Attributes(values, len(node.outputs))


def _plain(attribute: ir.Attr) -> Any:
    if attribute.type == ir.AttributeType.TENSOR:
        return attribute.as_tensor().numpy()
    if attribute.type in (ir.AttributeType.INTS, ir.AttributeType.FLOATS, ir.AttributeType.STRINGS):
        return tuple(attribute.value)
    return attribute.value
