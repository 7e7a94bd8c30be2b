"""`optkit prune`: a model with fewer channels, or with zeros."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optkit.commands._made import show_made
from optkit.commands._networks import factory_option
from optkit.commands._one_pass import apply_pass, refuse_stray
from optkit.commands._options import (
    FILE,
    MODEL,
    RATIO,
    cached_options,
    choice_option,
    data_option,
    seed_option,
    threads_option,
)

if TYPE_CHECKING:
    from optkit.artifact import Artifact
    from optkit.passes import Pass

ONLY_FOR = {"scope": ("weights", "channels"), "round_to": ("channels",), "importance": ("channels",)}
"""Options that other patterns have no use for."""


@click.command(name="prune")
@click.argument("model", type=MODEL)
@click.option("--sparsity", type=RATIO, default="50%", show_default=True, help="Share of the channels, or of the weights, that goes.")
@choice_option(
    "--pattern",
    ["channels", "weights", "2:4"],
    "channels: smaller and faster; weights, 2:4: zeros, for compressed size and for TensorRT, not faster in ONNX Runtime.",
)
@choice_option("--scope", ["global", "layer"], "Let all layers compete, or take the same share of each.")
@click.option("--importance", default="auto", show_default=True, help="What stays: a word that `optkit passes prune_channels` lists.")
@click.option("--round-to", type=click.IntRange(1, 1024), default=8, show_default=True, help="Channels that stay are a multiple of this.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Layers to leave whole, by name or kind. Repeat it for several.")
@data_option
@factory_option
@click.option("--output", "-o", type=FILE, help="Where to write the model. Default: MODEL.pruned.onnx (.safetensors) beside it.")
@threads_option
@seed_option
@cached_options
def command(model: Path, output: Path | None, **given: Any) -> None:
    """Take out what matters least in MODEL: an ONNX file, or a PyTorch model that optkit wrote (.safetensors).

    Accuracy falls unless the model is trained on (recipes: finetune, distill) or, for ONNX, re-fitted with --data; compare it before use.
    """
    made = _prune(model, output or model.with_suffix(f".pruned{model.suffix}"), given)
    show_made(made, given, lambda: _text(made, model, given["data"]))


def _text(made: "Artifact", model: Path, data: str | None) -> str:
    from optkit.commands._pruned import pruned_text

    return pruned_text(made, model, data)


def _prune(model: Path, output: Path, given: dict[str, Any]) -> "Artifact":
    from optkit.formats.torch_origin import trusting

    with trusting(*filter(None, [given["factory"]])):
        return apply_pass(_pass_for(given), model, output, given)


def _pass_for(given: dict[str, Any]) -> "Pass":
    """The pass that a pattern names. Raises UsageError for options it has no use for."""
    from optkit.errors import UsageError
    from optkit.recipe.reading import make_pass

    pattern = given["pattern"]
    refuse_stray(ONLY_FOR, pattern, "--pattern {}".format)
    if pattern == "2:4":
        if given["sparsity"] != 0.5:
            raise UsageError("2:4 is a sparsity of 50%", hint="leave --sparsity out, or use --pattern weights")
        return make_pass("prune_two_four", {"exclude": given["exclude"]})
    if pattern == "weights":
        return make_pass("prune_weights", {name: given[name] for name in ("sparsity", "scope", "exclude")})
    names = ("scope", "importance", "round_to", "exclude")
    return make_pass("prune_channels", {"ratio": given["sparsity"], **{name: given[name] for name in names}})
