"""Weights in as few bits as the answers allow, by whichever rounding keeps them closest, in whichever form costs no time."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx_ir as ir

from optkit.errors import DataError, NothingPaid
from optkit.formats.onnx import save_model
from optkit.quantization.blocks.algorithms import Rounded, round_all
from optkit.quantization.blocks.blocked import Scheme
from optkit.quantization.blocks.build import Form, build
from optkit.quantization.blocks.layers import Weight, find_weights
from optkit.quantization.calibration.feeds import Feeds
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.choosing.decide import TIE
from optkit.quantization.choosing_blocks.decide import decide
from optkit.quantization.choosing_blocks.mix import mix
from optkit.quantization.choosing_blocks.sensitivity import output_noise
from optkit.quantization.choosing_blocks.trial import Bench, Trial
from optkit.quantization.fidelity.room import room
from optkit.quantization.float_graph.checked import prepare_checked
from optkit.quantization.recognise import already_quantized
from optkit.quantization.variants.candidates import excluded
from optkit.quantization.variants.wishes import Setting, Wishes
from optkit.runtimes import full_feeds, open_session


@dataclass(frozen=True)
class Asked:
    """What the weights shall become."""

    bits: Literal[4, 8, "mixed"] = "mixed"
    """`mixed`: 4, and 8 where the answers need it."""
    size: int = 32
    symmetric: bool = False
    algorithm: Literal["auto", "rtn", "hqq", "gptq"] = "auto"
    embeddings: bool = True
    form: Literal["auto", "packed", "stored"] = "auto"


@dataclass(frozen=True)
class Choice:
    """The winner, everything it was held against, and sentences for the user."""

    best: Trial
    trials: tuple[Trial, ...]
    rounded: tuple[Trial, ...]
    """The algorithms that were tried, with all weights in 4 bits."""
    remarks: tuple[str, ...]
    failures: dict[str, str]
    calibrated_on: int
    operators: dict[str, dict[str, int]]
    """Operator → how many read weights of so many bits."""


def choose(
    original: Path, model: ir.Model, calibration: Feeds | None, judging: Feeds, asked: Asked, wishes: Wishes, setting: Setting, target: Path
) -> Choice:
    """Write `model` (read from `original`) with its weights in groups to `target`. GPTQ learns from `calibration`; fidelity and time are
    judged on `judging`. Raises NothingPaid, with the reason, when no variant pays; DataError when GPTQ is asked for without examples.
    """
    if asked.algorithm == "gptq" and calibration is None:
        raise DataError("GPTQ learns from examples", hint="pass --data examples.npz: one array for each model input")
    if reason := already_quantized(model):
        raise NothingPaid(reason, hint="quantize the float model that it was made from")
    feeds = list(full_feeds(open_session(original, setting.device, setting.threads), judging))
    prepared = prepare_checked(original, model, feeds, setting.device, setting.threads)
    weights = find_weights(prepared.model, lambda node: not excluded(node, wishes.exclude), asked.embeddings)
    if not weights:
        raise _nothing_to_hold()
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        bench = Bench(original, prepared.model, feeds, Path(folder), wishes, setting)
        tried = _roundings(bench, weights, setting.watcher(calibration) if calibration is not None else None, asked)
        start = _settle_bits(bench, weights, tried, asked)
        trials = _in_every_form(bench, start, asked)
        trials = bench.time(trials, wishes.seconds)
        best = decide(trials, bench)
        if best.ratio is not None and best.ratio.high > 1 + TIE:  # not shown to be no slower: measure the winner alone, for longer
            sure = bench.time([best], 2 * wishes.seconds)[0]
            trials = [sure if t is best else t for t in trials]
            best = decide(trials, bench)
        if best.path.with_name(f"{best.path.name}.data").exists():  # over 2 GB a model names its weights file
            save_model(build(bench.model, best.rounded.blocked, best.form), target)
        else:
            best.path.replace(target)
        used = len(calibration) if calibration is not None and best.rounded.algorithm == "gptq" else 0
        return Choice(best, tuple(trials), tuple(tried), prepared.remarks, bench.failures, used, count_bits(weights, best.rounded))


def count_bits(weights: Sequence[Weight], rounded: Rounded) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for weight in weights:
        for use in weight.uses:
            bits = f"{rounded.blocked[weight.name].scheme.bits} bits"
            ways = counts.setdefault(use.node.op_type, {})
            ways[bits] = ways.get(bits, 0) + 1
    return counts


def _roundings(bench: Bench, weights: Sequence[Weight], watcher: Watcher | None, asked: Asked) -> list[Trial]:
    """Trials of every algorithm in question, the most faithful first."""
    bits = 8 if asked.bits == 8 else 4
    if bits == 8:
        algorithms: tuple[str, ...] = ("rtn",)
    elif asked.algorithm == "auto":
        algorithms = ("rtn", "hqq", "gptq") if watcher is not None else ("rtn", "hqq")
    else:
        algorithms = (asked.algorithm,)
    scheme = Scheme(bits, asked.size, asked.symmetric)
    every = round_all(bench.model, weights, watcher, scheme, algorithms, bench.setting.progress)
    alone = len(every) == 1
    tried = [t for t in (bench.attempt(each, judge=alone) for each in every) if t is not None]
    if not tried:
        raise NothingPaid("; ".join(f"{name}: {why}" for name, why in bench.failures.items()), hint="try --int8")
    return sorted(tried, key=lambda t: t.fidelity.sqnr, reverse=True)


def _settle_bits(bench: Bench, weights: Sequence[Weight], tried: Sequence[Trial], asked: Asked) -> Trial:
    """The most faithful rounding, with 8 bits where 4 are too few and a mixture was asked for."""
    start = tried[0] if len(tried) == 1 else bench.attempt(tried[0].rounded) or tried[0]
    if start.good or asked.bits != "mixed":
        return start
    place = bench.setting
    (eight,) = round_all(bench.model, weights, None, Scheme(8, asked.size, asked.symmetric), ("rtn",), place.progress)
    noise = output_noise(bench.model, weights, start.rounded, bench.reference, threads=place.threads, progress=place.progress)
    mixtures = mix(bench, start.rounded, eight, noise, place.progress)
    good = [t for t in mixtures if t.good]
    return min(good, key=lambda t: t.size) if good else max([start, *mixtures], key=lambda t: room(t.fidelity, bench.wishes.floor))


def _in_every_form(bench: Bench, start: Trial, asked: Asked) -> list[Trial]:
    forms: list[Form] = [] if asked.form == "packed" else ["stored"]
    if asked.form != "stored" and any(b.scheme.bits == 4 for b in start.rounded.blocked.values()):
        forms.append("packed, float activations")
    more = [bench.attempt(start.rounded, form) for form in forms]
    return [t for t in ([] if asked.form == "stored" else [start]) + more if t is not None]


def _nothing_to_hold() -> NothingPaid:
    return NothingPaid(
        "no weights that can be held in 4 bits: those of MatMul, Gemm and embedding tables can, from 4,096 numbers and rows of 16 on",
        hint="try --int8, which knows convolutions as well",
    )
