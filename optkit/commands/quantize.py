"""`optkit quantize`: one model in, a smaller and faster one out, or the reason why not."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from optkit.commands._made import show_made
from optkit.commands._one_pass import apply_pass, refuse_stray
from optkit.commands._options import (
    BYTES,
    FILE,
    MODEL,
    RATIO,
    cached_options,
    choice_option,
    data_option,
    device_option,
    seed_option,
    threads_option,
)

if TYPE_CHECKING:
    from optkit.artifact import Artifact
    from optkit.passes import Pass

ONLY_FOR = {
    "method": ("int8",),
    "ranges": ("int8",),
    "effort": ("int8",),
    "group_size": ("int4",),
    "symmetric": ("int4",),
    "algorithm": ("int4",),
    "io": ("fp16",),
}
"""Options that other precisions have no use for."""
SHARED = ("max_memory", "samples", "exclude", "min_sqnr", "max_drop", "metric", "accept_size_only")
"""Parameters of the pass for INT8 and of that for INT4."""


@click.command(name="quantize")
@click.argument("model", type=MODEL)
@click.option("--int8", "precision", flag_value="int8", help="8-bit integers: smaller and, where it pays, faster.")
@click.option("--int4", "precision", flag_value="int4", help="4-bit weights, 8 where they need it: for size and memory, seldom for speed.")
@click.option("--fp16", "precision", flag_value="fp16", help="16-bit floats: half the size; faster on GPUs where there is much to do.")
@click.option("--bf16", "precision", flag_value="bf16", help="16-bit weights of float32's range, computed in float32: half the size.")
@data_option
@click.option("--output", "-o", type=FILE, help="Where to write the model. Default: MODEL.int8.onnx (.int4, .fp16, .bf16) beside it.")
@choice_option("--method", ["auto", "static", "dynamic", "weights"], "INT8 variants to consider. static needs --data.")
@click.option(
    "--samples", type=click.IntRange(1), default=128, show_default=True, help="Calibration examples to use at most, evenly spaced."
)
@choice_option(
    "--ranges",
    ["auto", "mse", "min_max", "percentile", "entropy"],
    "How activation ranges follow from what was seen; auto takes what has the least error for each tensor.",
)
@click.option("--max-memory", type=BYTES, help="Most memory to occupy while calibrating, such as 2GB. Takes more passes over the examples.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Nodes to leave in float, by name or operator. Repeat it for several.")
@click.option(
    "--min-sqnr",
    type=click.FloatRange(0, 120),
    help="Signal to noise that all outputs must keep, in dB. Otherwise changed answers may cost 1% by the model's own confidence.",
)
@click.option("--max-drop", type=RATIO, help="Largest loss of the original's score on labelled --data, such as 1%. In place of --min-sqnr.")
@click.option("--metric", metavar="NAME", help="The score that --max-drop limits: a name or module:function.")
@choice_option(
    "--effort", ["normal", "high"], "high: learn from the data how to round each weight and more; takes three to five times as long."
)
@choice_option(
    "--group-size",
    ["16", "32", "64", "128", "256"],
    "4-bit weights that share a scale: fewer are more faithful, 128 are smaller and on most CPUs faster.",
    "32",
)
@click.option("--symmetric", is_flag=True, help="4-bit weights without zero points: a little smaller, a little less faithful.")
@choice_option(
    "--algorithm",
    ["auto", "rtn", "hqq", "gptq"],
    "How 4-bit weights are rounded: to nearest, HQQ or, with --data, GPTQ; auto takes the most faithful.",
)
@click.option("--accept-size-only", is_flag=True, help="Take a smaller file even if it is slower.")
@choice_option(
    "--target",
    ["portable", "native"],
    "portable: the same answers on every CPU; native: no weight held back; x86 CPUs without VNNI answer differently.",
)
@choice_option("--io", ["float", "fp16"], "Type of inputs and outputs of an FP16 model: as they were, or 16 bits too.")
@device_option
@threads_option
@seed_option
@cached_options
def command(model: Path, precision: str | None, output: Path | None, **given: Any) -> None:
    """Make MODEL smaller and faster, verified before it appears.

    Several variants are built, checked against the original on real examples and timed side by side; the fastest faithful one is
    written. When none pays, the reason is printed, nothing is written, and the exit code is 1.
    """
    from optkit.errors import UsageError

    if precision is None:
        raise UsageError("which precision?", where="optkit quantize", hint="add --int8, --int4, --fp16 or --bf16")
    refuse_stray(ONLY_FOR, precision, "--{}".format)
    made = apply_pass(_pass_for(precision, given), model, output or model.with_suffix(f".{precision}.onnx"), given)
    show_made(made, given, lambda: _text(made, model, given))


def _pass_for(precision: str, given: dict[str, Any]) -> "Pass":
    if precision in ("fp16", "bf16"):
        from optkit.passes.cast_half import CastHalf

        io: Literal["float", "half"] = "half" if given["io"] == "fp16" else "float"
        return CastHalf(type="bfloat16" if precision == "bf16" else "float16", io=io, accept_size_only=given["accept_size_only"])
    shared = {name: given[name] for name in SHARED}
    if precision == "int4":
        from optkit.passes.quantize_weights import QuantizeWeights

        own = {name: given[name] for name in ("symmetric", "algorithm")}
        return QuantizeWeights(group_size=int(given["group_size"]), **own, **shared)
    from optkit.passes.quantize import Quantize

    return Quantize(**{name: given[name] for name in ("method", "ranges", "target", "effort")}, **shared)


def _text(made: "Artifact", model: Path, given: dict[str, Any]) -> str:
    from optkit.commands._quantized import quantized_text

    return quantized_text(made, model, given["data"], given["verbose"])
