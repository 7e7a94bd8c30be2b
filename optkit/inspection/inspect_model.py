"""Read a model file and say everything that can be said without running it."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import onnx

from optkit.arrays import Array
from optkit.formats.onnx import load_proto
from optkit.inspection import Inspection, Operator, Weights, Work
from optkit.inspection.advice import give_advice
from optkit.inspection.parts import find_parts
from optkit.inspection.sizes import Sizes, choose_sizes
from optkit.inspection.stored import NO_WEIGHTS, dtype_name
from optkit.inspection.values import FEW, Stored, Value, element_type, from_array, tensor_type
from optkit.inspection.walk import Visit, Walk
from optkit.runtimes import Port


def inspect_model(path: Path, given: Mapping[str, tuple[int, ...]] | None = None, feed: Mapping[str, Array] | None = None) -> Inspection:
    """Inspect the model file at `path`; weights in external files are not read.

    Open dimensions take their size from `given`, then from `feed` (one example), and are assumed otherwise.
    Raises ModelError when it is no model, UsageError when `given` does not fit it.
    """
    model = load_proto(path)
    inputs = _inputs(model)
    sizes = choose_sizes(inputs, given or {}, None if feed is None else {name: array.shape for name, array in feed.items()})
    walk = Walk(model, path.parent, sizes.named)
    walk.start(_input_values(model, sizes, feed or {}))
    work, parts = _work(walk, sizes), find_parts(walk.visits)
    stored, operators = list(walk.stored.values()), _operators(walk.visits)
    size, notes = _size(path, stored)
    return Inspection(
        path=str(path),
        bytes=size,
        ir_version=model.ir_version,
        opsets={o.domain: o.version for o in model.opset_import},
        producer=" ".join(filter(None, (model.producer_name, model.producer_version))),
        inputs=inputs,
        outputs=tuple(map(_port, model.graph.output)),
        parameters=sum(s.elements for s in stored if s.dtype not in NO_WEIGHTS),
        weights=_by_dtype(stored),
        operators=operators,
        work=work,
        parts=parts,
        advice=give_advice(path, operators, parts, work, stored),
        notes=notes,
    )


def walk_model(path: Path, given: Mapping[str, tuple[int, ...]]) -> Walk:
    """Follow the model in a file, its open dimensions being of the sizes given. Raises ModelError or UsageError."""
    model = load_proto(path)
    sizes = choose_sizes(_inputs(model), given, None)
    walk = Walk(model, path.parent, sizes.named)
    walk.start(_input_values(model, sizes, {}))
    return walk


def inputs_of(path: Path) -> tuple[Port, ...]:
    """What a model wants to be fed. Raises ModelError."""
    return _inputs(load_proto(path))


def _inputs(model: onnx.ModelProto) -> tuple[Port, ...]:
    held = {tensor.name for tensor in model.graph.initializer}  # up to IR version 3 weights were inputs too
    return tuple(_port(each) for each in model.graph.input if each.name not in held)


def _port(value: onnx.ValueInfoProto) -> Port:
    kind = value.type
    if kind.WhichOneof("value") != "tensor_type":
        return Port(value.name, str(kind.WhichOneof("value") or "unknown").removesuffix("_type"), ())
    dims = tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in kind.tensor_type.shape.dim)
    name = dtype_name(kind.tensor_type.elem_type)
    return Port(value.name, "str" if name == "string" else name, dims)


def _input_values(model: onnx.ModelProto, sizes: Sizes, feed: Mapping[str, Array]) -> dict[str, Value]:
    values = {}
    for each in model.graph.input:
        if each.name not in sizes.shapes:
            continue
        array = feed.get(each.name)
        if array is not None and array.dtype.kind in "iub" and array.size <= FEW:
            values[each.name] = from_array(array)  # lengths, rates and flags decide shapes and branches
        elif each.type.WhichOneof("value") == "tensor_type":
            values[each.name] = Value(tensor_type(element_type(each.type), sizes.shapes[each.name]))
        else:
            values[each.name] = Value(each.type)
    return values


def _operators(visits: list[Visit]) -> tuple[Operator, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    macs: Counter[tuple[str, str]] = Counter()
    for visit in visits:
        key = ("" if visit.node.domain == "ai.onnx" else visit.node.domain, visit.node.op_type)
        counts[key] += 1
        macs[key] += (visit.macs or 0) * visit.times
    return tuple(Operator(domain, name, count, macs[domain, name]) for (domain, name), count in counts.most_common())


def _work(walk: Walk, sizes: Sizes) -> Work:
    unknown = Counter(f"{v.node.domain}::{v.node.op_type}".removeprefix("::") for v in walk.visits if v.macs is None and v.times)
    total = sum((v.macs or 0) * v.times for v in walk.visits)
    notes = tuple(f"{text} ({count} of them)" if count > 1 else text for text, count in walk.notes.items())
    return Work(total, sizes.shapes, sizes.assumed, dict(unknown.most_common()), notes)


def _by_dtype(stored: list[Stored]) -> tuple[Weights, ...]:
    kinds = {each.dtype for each in stored}
    rows = [[each for each in stored if each.dtype == kind] for kind in kinds]
    weights = [Weights(row[0].dtype, len(row), sum(s.elements for s in row), sum(s.bytes for s in row)) for row in rows]
    return tuple(sorted(weights, key=lambda w: (-w.bytes, w.dtype)))


def _size(path: Path, stored: list[Stored]) -> tuple[int, tuple[str, ...]]:
    """Bytes on disk, and what is missing there."""
    beside = sorted({each.file for each in stored if each.file})
    missing = [name for name in beside if not (path.parent / name).is_file()]
    size = path.stat().st_size + sum((path.parent / name).stat().st_size for name in beside if name not in missing)
    return size, tuple(f"its weights are in {name}, which is not beside it: it cannot be run" for name in missing)
