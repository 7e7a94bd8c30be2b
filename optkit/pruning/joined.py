"""Channels of a PyTorch module that can only go together, found by torch-pruning's dependency graph (Fang et al., 2023)."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.errors import ModelError
from optkit.pruning.feeds import answer, tensors_in
from optkit.pruning.needed import torch_pruning

if TYPE_CHECKING:
    import torch

ATTENTION = ("ScaledDotProduct", "Bmm", "Softmax")
"""Operators that only heads as a whole may be taken out of."""
STREAMS = ("LayerNorm", "RMSNorm", "Embedding", "MultiheadAttention", "LSTM", "GRU", "RNN", "Parameter")
"""What the width of a whole transformer or a recurrent state hangs on: it is left as it is."""


@dataclass(frozen=True)
class Joined:
    """Channels that are one in several layers."""

    name: str
    """The layer that they come out of."""
    side: str
    """`out`, or `in` where they are numbered as the layer they go into numbers them."""
    count: int
    members: tuple[tuple[str, str, str], ...]
    """Name, class and side of each layer that loses them."""
    attends: bool
    groups: int = 1
    """Groups of convolutions or normalizations that must stay equally large."""

    @property
    def losers(self) -> set[str]:
        """Layers whose own outputs become fewer."""
        return {name for name, _, side in self.members if side == "out"}


def graph_of(module: "torch.nn.Module", inputs: Any) -> Any:
    """Trace a module in evaluation mode. Raises ModelError where torch-pruning cannot follow it."""
    import torch

    pruning = torch_pruning()
    frozen = [each for each in module.parameters() if not each.requires_grad]
    try:
        for each in frozen:
            each.requires_grad_(True)  # what needs no gradient cannot be traced
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pruning.DependencyGraph().build_dependency(module.eval(), inputs, _answer_with_gradient, verbose=False)
    except Exception as error:  # the user's code, autograd and torch-pruning raise whatever they like
        told = " ".join(str(error).split()) or type(error).__name__
        hint = "`forward` must be differentiable and return tensors; export it with export_onnx first and prune the ONNX model"
        raise ModelError(f"torch-pruning cannot trace it: {told[:300]}", hint=hint) from error
    finally:
        for each in frozen:
            each.requires_grad_(False)


def _answer_with_gradient(module: "torch.nn.Module", inputs: Any) -> Any:
    found = answer(module, inputs)
    if not any(each.requires_grad for each in tensors_in(found)):
        raise ValueError("its outputs have no gradient")
    return found


def joined_channels(graph: Any) -> Iterator[Joined]:
    """All that may be taken out: of convolutions and linear layers, but not the model's outputs, nor the width of residual streams."""
    import torch

    kinds = [torch.nn.modules.conv._ConvNd, torch.nn.Linear]
    for group in graph.get_all_groups(root_module_types=kinds):
        joined = _described(graph, group)
        if joined is not None and not _is_output(graph, group):
            yield joined


def group_for(graph: Any, joined: Joined, channels: Sequence[int]) -> Any:
    """What torch-pruning takes out where these channels go."""
    layer = graph.model.get_submodule(joined.name)
    pruner = graph.get_pruner_of_module(layer)
    return graph.get_pruning_group(layer, pruner.prune_out_channels if joined.side == "out" else pruner.prune_in_channels, list(channels))


def take_out(graph: Any, gone: Mapping[Joined, Sequence[int]]) -> None:
    """Take channels out of the module that the graph is of; the channels of one `Joined` do not number those of another."""
    for joined, channels in gone.items():
        if len(channels):
            group_for(graph, joined, channels).prune()


def _described(graph: Any, group: Any) -> Joined | None:
    root = group[0].dep
    name = graph._module2name.get(root.target.module)
    members = tuple(_members(graph, group))
    if name is None or any(word in kind for _, kind, _ in members for word in STREAMS):
        return None
    attends = any(word in str(item.dep.target.name) for item in group for word in ATTENTION)
    side, count = "out", len(group[0].idxs)
    if attends:  # heads are numbered as what comes after them numbers them: before, query, key and value may be one layer
        after = [item for item in group if type(item.dep.target.module).__name__ == "Linear" and _side(graph, item.dep) == "in"]
        if not after:
            return None
        name, side, count = graph._module2name[after[0].dep.target.module], "in", len(after[0].idxs)
    return Joined(name, side, count, members, attends, _groups(graph, group))


def _members(graph: Any, group: Any) -> Iterator[tuple[str, str, str]]:
    for item in group:
        part = item.dep.target.module
        if part in graph._module2name:
            yield graph._module2name[part], type(part).__name__, _side(graph, item.dep)
        elif type(part).__name__ == "Parameter":
            yield graph._param_to_name[part], "Parameter", "out"


def _side(graph: Any, dependency: Any) -> str:
    return "out" if graph.is_out_channel_pruning_fn(dependency.handler) else "in"


def _is_output(graph: Any, group: Any) -> bool:
    """Whether the channels reach an output of the model: an end of the graph that is no layer which takes them in."""
    return any(not item.dep.target.outputs and _side(graph, item.dep) == "out" and not _is_weight(item.dep) for item in group)


def _is_weight(dependency: Any) -> bool:
    """`TBackward0` and such lie between a weight and its product: the graph begins there."""
    return not dependency.target.outputs and not dependency.target.inputs


def _groups(graph: Any, group: Any) -> int:
    """The largest number of groups that a layer of these channels has; 1 where there are none."""
    found = [1]
    for item in group:
        part = item.dep.target.module
        pruner = graph.get_pruner_of_module(part) if part in graph._module2name else None
        if pruner is None or getattr(part, "groups", 1) == getattr(part, "out_channels", 0):  # depthwise
            continue
        inward = _side(graph, item.dep) == "in"
        found.append(pruner.get_in_channel_groups(part) if inward else pruner.get_out_channel_groups(part))
    return max(found)
