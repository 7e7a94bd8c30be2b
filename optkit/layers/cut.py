"""Graphs cut at the tensors that two models share, so that one layer can be looked at alone."""

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import onnx_ir as ir

from optkit.formats.onnx_simplify import remove_unused
from optkit.layers.matching import Pair
from optkit.layers.tensors import scores_behind, spellings
from optkit.layers.watch import Seen

GIVEN = "optkit_given_"
TYPES = {"float16": ir.DataType.FLOAT16, "float32": ir.DataType.FLOAT, "float64": ir.DataType.DOUBLE}
NEW = "optkit_new_"
SWITCH = "optkit_switch_"


def cut_at(model: ir.Model, pairs: Iterable[Pair], seen: Mapping[str, Seen], wanted: Collection[str]) -> tuple[ir.Model, dict[str, str]]:
    """The part of the second model that computes the tensors `wanted`, each from the first model's values of those next before it.

    Returns the graph and what it is to be fed: names of its inputs, and the first model's tensors that belong there.
    """
    copy = model.clone()
    values = {v.name: v for node in copy.graph for v in node.outputs}
    given: dict[str, ir.Value] = {}
    fed: dict[str, str] = {}
    for pair in pairs:
        alike = spellings(values[pair.after], seen)
        for spelling in alike.values:
            kind = seen[str(spelling.name)].dtype
            port = ir.Value(name=f"{GIVEN}{kind}_{pair.before}", type=ir.TensorType(TYPES[kind]))
            port = given.setdefault(str(port.name), port)
            fed[str(port.name)] = pair.before
            for use in list(spelling.uses()):
                if use.node not in alike.between:
                    use.node.replace_input_with(use.idx, port)
    copy.graph.outputs[:] = [values[name] for name in wanted]
    copy.graph.inputs.extend(given.values())
    remove_unused(copy)
    unread = [port for port in copy.graph.inputs if str(port.name) in given and not port.uses()]
    for port in unread:
        copy.graph.inputs.remove(port)
    return copy, {name: fed[name] for name in (str(port.name) for port in copy.graph.inputs) if name in fed}


def with_replacements(model: ir.Model, names: Iterable[str], seen: Mapping[str, Seen]) -> tuple[ir.Model, dict[str, bool]]:
    """The first model, in which each named tensor can be replaced: by input `NEW` + name where input `SWITCH` + name is true.

    Neither need be fed. The outputs are the scores behind the model's outputs; returns the graph and their names, with whether a
    softmax follows, for which only differences between scores count.
    """
    copy = model.clone()
    behind = [scores_behind(v) for v in copy.graph.outputs]
    free = {score for score, out in zip(behind, copy.graph.outputs, strict=True) if score is not out and _feeds_softmax(score)}
    copy.graph.outputs[:] = list(dict.fromkeys(behind))
    values = {v.name: v for node in copy.graph for v in node.outputs}
    for name in names:
        value = values[name]
        node = value.producer()
        assert node is not None
        switch = _optional(copy.graph, f"{SWITCH}{name}", ir.DataType.BOOL)
        new = _optional(copy.graph, f"{NEW}{name}", TYPES[seen[name].dtype])
        choice = ir.node("Where", [switch, new, value], name=f"{SWITCH}{name}_Where")
        choice.outputs[0].name = f"{SWITCH}{name}_chosen"
        choice.outputs[0].type, choice.outputs[0].shape = value.type, value.shape
        free = {choice.outputs[0] if v is value else v for v in free}
        value.replace_all_uses_with(choice.outputs[0], replace_graph_outputs=True)
        choice.replace_input_with(2, value)
        copy.graph.insert_after(node, choice)
    copy.ir_version = max(copy.ir_version or 4, 4)  # inputs with defaults
    return copy, {str(v.name): v in free for v in copy.graph.outputs}


def _feeds_softmax(value: ir.Value) -> bool:
    return any(use.node.op_type in ("Softmax", "LogSoftmax") for use in value.uses())


def _optional(graph: ir.Graph, name: str, kind: ir.DataType) -> ir.Value:
    tensor = ir.tensor(np.zeros((), kind.numpy()), name=name)
    port = ir.Value(name=name, type=ir.TensorType(kind), const_value=tensor)
    graph.register_initializer(port)
    graph.inputs.append(port)
    return port
