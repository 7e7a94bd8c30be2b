"""What would pay for this model, in at most three sentences, each with the command that does it."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from optkit.inspection import Advice, Inspection, Operator, Part, Profile, Work
from optkit.inspection.under_roof import Prediction
from optkit.inspection.values import Stored
from optkit.units import show_share

MOST = 3
LITTLE, MUCH = 0.2, 0.5
"""Shares of weight bytes: below the first a kind of operator is not worth a sentence, above the second it decides."""
SEVERAL = 5
FOLDABLE = ("Identity", "BatchNormalization", "Dropout")
NOT_TIMED = "INT8 makes it smaller; --roofline estimates how much faster."
LITTLE_SMALLER = "INT8 makes it little smaller; --roofline estimates how much faster."
"""What can be said of integers before anything was timed."""
FASTER = 1.05
"""Times as fast, from which on that is worth a word."""


def give_advice(
    path: Path, operators: Sequence[Operator], parts: Sequence[Part], work: Work, stored: Sequence[Stored]
) -> tuple[Advice, ...]:
    """What would pay, most important first; where nothing would, that."""
    model, total = shlex.quote(str(path)), sum(each.bytes for each in stored)
    done = [p for p in parts if p.can == "done"]
    if total and _bytes(done) >= MUCH * total:
        found = [_quantized(done, total)]
    else:
        found = [*_integers(model, parts, work, total), *_stored(model, parts, total)]
    found += _simplify(model, operators)
    return _commands_once(found[:MOST]) or (_nothing(operators),)


def as_estimated(given: Sequence[Advice], estimates: Sequence[Prediction]) -> tuple[Advice, ...]:
    """The advice with what the roofline expects of INT8 in place of what nobody knew before, so that both say the same."""
    speedup = next((each.speedup for each in estimates if each.change == "INT8"), 1.0)
    faster = f"about {speedup:.1f}× as fast, where its answers hold" if speedup >= FASTER else "no faster"
    says = {
        NOT_TIMED: f"INT8 makes it smaller{' and' if speedup >= FASTER else ', but'} {faster}.",
        LITTLE_SMALLER: f"INT8 makes it little smaller{' but' if speedup >= FASTER else ' and'} {faster}.",
    }
    return tuple(replace(each, what=_estimated(each.what, says)) for each in given)


def _estimated(what: str, says: Mapping[str, str]) -> str:
    return next((what.removesuffix(old) + new for old, new in says.items() if what.endswith(old)), what)


def limit_of(profile: Profile, parts: Sequence[Part]) -> Advice | None:
    """How much faster it can get at best, if what can become integer took no time at all (Amdahl's law)."""
    names = {p.operator for p in parts if p.can == "int8"}
    share = sum(o.share for o in profile.operators if any(name in o.operator for name in names))
    if not 0 < share < 1:
        return None
    takes = "takes" if len(names) == 1 else "take"
    what = "INT8" if profile.device == "cpu" else "fewer bits"
    return Advice(
        f"{_names(sorted(names))} {takes} {show_share(share)} of the time: {what} cannot make it more than {1 / (1 - share):.1f}× as fast."
    )


def _commands_once(found: Sequence[Advice]) -> tuple[Advice, ...]:
    """A command that serves two sentences follows the second."""
    later = [{each.command for each in found[k + 1 :]} for k in range(len(found))]
    return tuple(Advice(a.what, None if a.command in commands else a.command) for a, commands in zip(found, later, strict=True))


def _bytes(parts: Iterable[Part]) -> int:
    return sum(p.weight_bytes for p in parts)


def _names(names: Iterable[str]) -> str:
    listed = list(dict.fromkeys(names))
    return " and ".join(filter(None, (", ".join(listed[:-1]), listed[-1])))


def _quantized(done: Sequence[Part], total: int) -> Advice:
    what = f"It is quantized: {show_share(_bytes(done) / total)} of the weight bytes are in 8 bits or fewer."
    stored = [p.operator for p in done if p.now == "int8 weights" and p.operator in ("MatMul", "Gemm")]
    if stored:
        compute = "computes" if len(set(stored)) == 1 else "compute"
        return Advice(f"{what} {_names(stored)} still {compute} in float: for integers, quantize the float model that it was made from.")
    return Advice(what)


def _integers(model: str, parts: Sequence[Part], work: Work, total: int) -> list[Advice]:
    """Operators that can compute in integers."""
    chosen = [p for p in parts if p.can == "int8"]
    size = _bytes(chosen)
    if not chosen or not total:
        return []
    one = len({p.operator for p in chosen}) == 1
    of_work = f"{'does' if one else 'do'} {show_share(sum(p.macs for p in chosen) / work.macs)} of the work and " if work.macs else ""
    what = f"{_names(p.operator for p in chosen)} {of_work}{'holds' if one else 'hold'} {show_share(size / total)} of the weight bytes"
    command = f"optkit quantize {model} --int8 --data DATA"
    if size < LITTLE * total:
        return [Advice(f"{what}: {LITTLE_SMALLER}", command)]
    return [Advice(f"{what}: {NOT_TIMED}", command)]


def _stored(model: str, parts: Sequence[Part], total: int) -> list[Advice]:
    """Operators that stay in float, with weights that can be stored in fewer bits."""
    chosen = [p for p in parts if p.can == "int8 weights"]
    if not total or _bytes(chosen) < LITTLE * total:
        return []
    one = len({p.operator for p in chosen}) == 1
    what = f"{_names(p.operator for p in chosen)} {'holds' if one else 'hold'} {show_share(_bytes(chosen) / total)} of the weight bytes"
    return [Advice(f"{what}: as 8-bit integers they make the file smaller, not faster.", f"optkit quantize {model} --int8 --data DATA")]


def _simplify(model: str, operators: Sequence[Operator]) -> list[Advice]:
    counts = {o.name: o.count for o in operators if not o.domain and o.name in FOLDABLE}
    if sum(counts.values()) < SEVERAL and "BatchNormalization" not in counts:
        return []
    listed = _names(f"{count} {name}" for name, count in counts.items())
    return [Advice(f"{listed} may be folded away.", f"optkit simplify {model}")]


def _nothing(operators: Sequence[Operator]) -> Advice:
    if any(o.name.startswith("TreeEnsemble") for o in operators):
        return Advice("Decision trees compare numbers and multiply none: there is nothing to quantize.")
    return Advice("No operator here has weights that could become smaller or faster.")


def naming_device(found: Inspection, device: str) -> Inspection:
    """With the device that was given in the commands that measure there, so that they try what was looked at."""
    if device == "cpu":
        return found

    def named(command: str | None) -> str | None:
        return f"{command} --device {device}" if command and command.startswith("optkit quantize") else command

    return replace(found, advice=tuple(replace(each, command=named(each.command)) for each in found.advice))


def naming_data(found: Inspection, data: str) -> Inspection:
    """With the data that was given in the commands that ask for some, so that they can be copied as they stand."""

    def named(command: str | None) -> str | None:
        return command and command.replace("--data DATA", f"--data {shlex.quote(data)}")

    advice = tuple(replace(each, command=named(each.command)) for each in found.advice)
    if found.roofline is None:
        return replace(found, advice=advice)
    predictions = tuple(replace(each, command=named(each.command)) for each in found.roofline.predictions)
    return replace(found, advice=advice, roofline=replace(found.roofline, predictions=predictions))
