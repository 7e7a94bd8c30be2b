"""How much each unit of a PyTorch module matters, by torch-pruning's measures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from optkit.errors import UsageError
from optkit.pruning.choice import Candidates
from optkit.pruning.joined import graph_of, group_for
from optkit.pruning.needed import torch_pruning
from optkit.pruning.units import Units

if TYPE_CHECKING:
    import torch

Importance = Literal["magnitude", "taylor", "batch_norm_scale"]


def scored(module: "torch.nn.Module", inputs: Any, units: Sequence[Units], importance: Importance) -> dict[Units, Candidates]:
    """The units that the measure has something to say of, with their scores.

    magnitude: sum of the squared weights of a channel, in and out (Li et al., 2017; He et al., 2018). taylor: sum of |weight x gradient|
    (Molchanov et al., 2019), with what the parameters hold in `grad`. batch_norm_scale: |scale| (Liu et al., 2017), of channels that
    a batch normalization follows. Raises UsageError where no unit has a score.
    """
    measure, graph = _measure(importance), graph_of(module, inputs)
    found = {}
    for each in units:
        values = measure(group_for(graph, each.joined, range(each.joined.count)))
        if values is not None:
            channels = values.detach().double().numpy()
            scores = np.array([channels[list(part)].mean() for part in each.parts])
            found[each] = Candidates(each.joined.name, scores, len(each.parts[0]), each.step)
    if units and not found:
        raise UsageError(f"importance: {importance} has nothing to go by: no batch normalization follows", hint="use magnitude or taylor")
    return found


def _measure(importance: Importance) -> Any:
    pruning = torch_pruning()
    if importance == "taylor":
        return pruning.importance.GroupTaylorImportance(normalizer=None)
    if importance == "batch_norm_scale":
        return pruning.importance.BNScaleImportance(normalizer=None)
    return pruning.importance.GroupMagnitudeImportance(p=2, normalizer=None)
