"""What a plan would do: its model, its data, and which steps are already there. Nothing is run."""

import shutil
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.formats import read_artifact
from optkit.optimize import kept_steps
from optkit.passes import Pass, word_of
from optkit.plan import Plan
from optkit.plan.labels import check_labels
from optkit.plan.splits import read_splits, remarks
from optkit.plan.torch_source import assemble_for, learn_inputs, trusting_recipe
from optkit.runtimes import open_session
from optkit.store import Store


@dataclass(frozen=True)
class Material:
    """What a plan works on, read and found to fit together."""

    source: Artifact
    examples: Mapping[str, Examples]
    remarks: tuple[str, ...]
    """What a reader of the results must know of the data."""
    held: object = None
    """What must stay while the model is used."""


@dataclass(frozen=True)
class StepSeen:
    """One step of a preview."""

    word: str
    parameters: Mapping[str, Any]
    """Those that differ from their defaults."""
    kept: bool
    """Its result is in the cache."""


@dataclass(frozen=True)
class SplitSeen:
    """The data of one split."""

    source: str
    examples: int
    labelled: bool


@dataclass(frozen=True)
class Preview:
    """What `optkit check` says."""

    recipe: str
    model: str
    digest: str
    data: Mapping[str, SplitSeen]
    """By split; empty where inputs are made up."""
    steps: tuple[StepSeen, ...]
    extras: tuple[str, ...]
    devices: tuple[str, ...]
    remarks: tuple[str, ...]


class _Folder:
    """A folder that is gone when nobody holds it any more."""

    def __init__(self) -> None:
        self.path = Path(mkdtemp(prefix="optkit-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def gather(plan: Plan) -> Material:
    """Read the model and its data, and open the model on every device that is to be measured.

    Raises ModelError, DataError (it does not fit, or labels are wanted and missing), or UsageError for a device that is not there.
    """
    recipe = plan.recipe
    model, held = recipe.model, None
    if recipe.torch is not None:
        held = _Folder()
        model = held.path / "original" / recipe.model.name  # reports tell it by that from a result of the same name
        model.parent.mkdir()
        assemble_for(recipe, recipe.torch, model)
    sessions = [open_session(model, device, recipe.threads) for device in recipe.measure.devices]
    examples = read_splits(recipe, sessions[0].inputs)
    if recipe.torch is not None and (given := next(iter(examples.values()), None)) is not None:
        learn_inputs(model, given)
        sessions = [open_session(model, device, recipe.threads) for device in recipe.measure.devices]
    check_labels(recipe, compared_on(examples), sessions[0])
    return Material(read_artifact(model), examples, tuple(remarks(recipe, examples)), held)


def compared_on(examples: Mapping[str, Examples]) -> Examples | None:
    """The examples that original and result are compared on; None for made-up ones."""
    return examples.get("evaluation", examples.get("calibration"))


def preview(plan: Plan, cache: Store | None) -> Preview:
    """Look at everything that a run would use."""
    recipe = plan.recipe
    with trusting_recipe(recipe):
        material = gather(plan)
        kept = kept_steps(
            material.source.digest,
            plan.steps,
            material.examples,
            device=plan.device,
            threads=recipe.threads,
            seed=recipe.seed,
            cache=cache,
        )
    return Preview(
        recipe=recipe.name,
        model=str(recipe.model),
        digest=material.source.digest,
        data={split: SplitSeen(each.source, len(each), each.labels is not None) for split, each in material.examples.items()},
        steps=tuple(StepSeen(word_of(step), _changed(step), there) for step, there in zip(plan.steps, kept, strict=True)),
        extras=plan.extras,
        devices=recipe.measure.devices,
        remarks=material.remarks,
    )


def _changed(step: Pass) -> dict[str, Any]:
    """Its parameters that differ from their defaults; pydantic takes what a serializer of its own writes for a difference."""
    written = step.model_dump(mode="json", exclude_defaults=True)
    return {name: value for name, value in written.items() if getattr(step, name) != type(step).model_fields[name].default}
