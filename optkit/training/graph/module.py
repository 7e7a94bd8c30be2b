"""An ONNX graph, run node by node in PyTorch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from optkit.errors import ModelError
from optkit.quantization.graphs import constant_array
from optkit.quantization.operators import is_standard
from optkit.training.graph.finding import Quantizers, find_quantizers, pads_with_zero
from optkit.training.graph.floats import learnable_floats
from optkit.training.graph.operators import OPERATORS
from optkit.training.graph.operators.attributes import attributes_of
from optkit.training.graph.operators.elementwise import torch_dtype

if TYPE_CHECKING:
    import torch

OLDEST = 13
"""The operator set that the operators are those of, or newer."""
SMALL = 64
"""Numbers of an integer constant that stays on the CPU, where shapes are computed."""

Answer = Callable[..., Any]


@dataclass(frozen=True)
class _Step:
    """One node: what computes it, of which values, and what nothing reads afterwards."""

    node: ir.Node
    answer: Answer
    inputs: tuple[ir.Value | None, ...]
    done_with: tuple[ir.Value, ...] = ()


class Graph:
    """The nodes of a graph as steps, and the tensors that they compute with: those are Parameters, which keep their place when moved."""

    def __init__(self, model: ir.Model, *, learn_ranges: bool, portable: bool) -> None:
        import torch

        self.model = model.clone()
        self.model.graph.sort()
        _refuse(self.model)
        self.quantizers: Quantizers = find_quantizers(self.model.graph, learn_ranges=learn_ranges, portable=portable)
        self.floats = {value: torch.nn.Parameter(_tensor(value)) for value in learnable_floats(self.model.graph)}
        self._fixed: dict[ir.Value, torch.nn.Parameter] = {}
        self._small: dict[ir.Value, torch.Tensor] = {}
        self._steps = self._plan()

    def tensors(self) -> "dict[str, torch.nn.Parameter]":
        """All that it computes with, by names without dots; what is not to be trained requires no gradient."""
        found = {f"part_{i}_{name}": each for i, part in enumerate(self.quantizers.parts()) for name, each in part.tensors().items()}
        found |= {f"float_{i}": each for i, each in enumerate(self.floats.values())}
        return found | {f"fixed_{i}": each for i, each in enumerate(self._fixed.values())}

    def answer(self, inputs: "Sequence[torch.Tensor]", named: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
        """Its outputs by name, for inputs in order or by name. Raises ModelError where one is missing or a node fails."""
        values = self._given(inputs, named)
        for step in self._steps:
            answer = _asked(step, [None if each is None else values[each] for each in step.inputs])
            values.update(zip(step.node.outputs, answer, strict=False))
            for value in step.done_with:
                values.pop(value, None)
        return {str(value.name): values[value] for value in self.model.graph.outputs}

    def _given(self, inputs: "Sequence[torch.Tensor]", named: "Mapping[str, torch.Tensor]") -> "dict[ir.Value, torch.Tensor]":
        ports = [value for value in self.model.graph.inputs if not value.is_initializer()]
        given = {str(port.name): each for port, each in zip(ports, inputs, strict=False)} | dict(named)
        missing = [str(port.name) for port in ports if str(port.name) not in given]
        if missing:
            raise ModelError(f"the model takes {', '.join(missing)}, which the data lacks", hint=f"it has {', '.join(given) or 'nothing'}")
        values = {port: given[str(port.name)].to(torch_dtype(port.dtype or ir.DataType.FLOAT)) for port in ports}
        return values | self._small | self._fixed | self.floats

    def _plan(self) -> tuple[_Step, ...]:
        graph, steps = self.model.graph, list[_Step]()
        known: dict[ir.Value, torch.Tensor] = {}
        for node in graph:
            step = self._step(node)
            computed = [each for each in step.inputs if each is not None]
            for value in computed:
                if value not in known and value not in self.floats and constant_array(value) is not None:
                    known[value] = _tensor(value)
            free = step.inputs == tuple(node.inputs) and node.op_type != "Shape"
            if free and all(value in known for value in computed) and node not in self.quantizers.activations:
                known.update(zip(node.outputs, _asked(step, [None if each is None else known[each] for each in step.inputs]), strict=False))
            else:
                steps.append(step)
        self._hold(steps, known)
        return _with_ends(steps, set(graph.outputs))

    def _step(self, node: ir.Node) -> _Step:
        parts, inputs = self.quantizers, tuple(node.inputs)
        if (part := parts.weights.get(node) or parts.biases.get(node)) is not None:
            return _Step(node, part, ())
        if (rounding := parts.activations.get(node)) is not None:
            return _Step(node, rounding, inputs[:1])
        if (gate := parts.gates.get(node)) is not None:
            return _Step(node, gate, inputs[:1])
        if node in parts.passing or node in parts.cut:
            return _Step(node, _the_same, inputs[:1])
        if pads_with_zero(node):
            inputs = inputs[:2]
        attributes, operator = attributes_of(node), OPERATORS[node.op_type]
        return _Step(node, lambda *given: operator(attributes, *given), inputs)

    def _hold(self, steps: Sequence[_Step], known: "dict[ir.Value, torch.Tensor]") -> None:
        """Constants that are read while it runs; those that a shape is made of stay on the CPU."""
        import torch

        read = dict.fromkeys(value for step in steps for value in step.inputs if value is not None)
        for value in [*read, *self.model.graph.outputs]:
            tensor = known.get(value)
            if tensor is not None and tensor.numel() <= SMALL and not tensor.is_floating_point():
                self._small[value] = tensor
            elif tensor is not None:
                self._fixed[value] = torch.nn.Parameter(tensor, requires_grad=False)


def _refuse(model: ir.Model) -> None:
    version = model.graph.opset_imports.get("", OLDEST)
    if version < OLDEST:
        raise ModelError(f"it is of operator set {version}: this needs {OLDEST} or newer", hint="optkit simplify MODEL raises it")
    for node in model.graph:
        known = node.op_type in OPERATORS or node.op_type == "QuantizeLinear"
        if not is_standard(node) or not known:
            word = node.op_type if is_standard(node) else f"{node.domain}.{node.op_type}"
            hint = "use quantize_static, or train before operators are fused; optkit inspect MODEL shows what is inside"
            raise ModelError(f"it cannot be trained: {word} (node {node.name!r}) has no counterpart in PyTorch here", hint=hint)


def _asked(step: _Step, arguments: "list[torch.Tensor | None]") -> "tuple[torch.Tensor, ...]":
    import torch

    try:
        answer = step.answer(*arguments)
    except NotImplementedError as error:
        what = f"it cannot be trained: {error} (node {step.node.name!r}) has no counterpart in PyTorch here"
        raise ModelError(what, hint="use quantize_static") from error
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        told = str(error).strip().splitlines()
        what = f"node {step.node.name!r} ({step.node.op_type}) fails in PyTorch: {told[0] if told else type(error).__name__}"
        raise ModelError(what, hint="does the model take the batches it is given? optkit inspect MODEL shows its inputs") from error
    return answer if isinstance(answer, tuple) else (answer,)


def _with_ends(steps: Sequence[_Step], kept: set[ir.Value]) -> tuple[_Step, ...]:
    """Each step with the values that it is the last to read."""
    seen, ended = set(kept), list[_Step]()
    for step in reversed(steps):
        last = tuple(value for value in dict.fromkeys((*step.inputs, *step.node.outputs)) if value is not None and value not in seen)
        seen.update(last)
        ended.append(_Step(step.node, step.answer, step.inputs, last))
    return tuple(reversed(ended))


def _the_same(x: "torch.Tensor") -> "torch.Tensor":
    return x


def _tensor(value: ir.Value) -> "torch.Tensor":
    import torch

    array = constant_array(value)
    assert array is not None
    return torch.from_numpy(array.copy())
