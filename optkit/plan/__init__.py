"""Recipe → Plan: whether its steps fit together and everything they need is there, before anything is run."""

from collections.abc import Iterator
from dataclasses import dataclass

from optkit.draft import check_folder
from optkit.errors import MissingLibrary, OptkitError, Problem, RecipeError
from optkit.formats import format_of
from optkit.needs import EXTRAS, has
from optkit.passes import Pass
from optkit.recipe import Recipe
from optkit.recipe.lines import line_of


@dataclass(frozen=True)
class Plan:
    """A recipe that can be run."""

    recipe: Recipe
    steps: tuple[Pass, ...]
    wheres: tuple[str, ...]
    """`file:line` of each step."""
    formats: tuple[str, ...]
    """Of the model, and after each step."""
    extras: tuple[str, ...]
    """What must be installed, all of it there."""
    draws: tuple[str, ...]
    """The splits of data that steps draw from."""

    @property
    def device(self) -> str:
        """Where steps run and their results are tried: the first that is measured."""
        return self.recipe.measure.devices[0]


def make_plan(recipe: Recipe) -> Plan:
    """Check what can be checked without running anything.

    Raises RecipeError with every problem at once; MissingLibrary where a missing library is the only one.
    """
    steps = tuple(step.pass_ for step in recipe.steps)
    missing = list(_missing_extras(recipe))
    problems = [*_files(recipe), *_chain(recipe), *_data(recipe), *_output(recipe)]
    if len(missing) == 1 and not problems:
        raise MissingLibrary(missing[0].what, where=missing[0].where, hint=missing[0].hint)
    if problems or missing:
        raise RecipeError(sorted([*problems, *missing], key=line_of))
    return Plan(
        recipe=recipe,
        steps=steps,
        wheres=tuple(step.where for step in recipe.steps),
        formats=_formats(recipe),
        extras=tuple(dict.fromkeys(extra for step, at in zip(steps, _formats(recipe), strict=False) for extra in step.needs_for(at))),
        draws=tuple(dict.fromkeys(split for step in steps for split in step.splits())),
    )


def _files(recipe: Recipe) -> Iterator[Problem]:
    if recipe.torch is not None:
        if recipe.torch.weights is not None and not recipe.torch.weights.is_file():
            yield Problem(recipe.where("model.weights"), f"there is no file {recipe.torch.weights}", "paths are relative to the recipe")
    elif not recipe.model.is_file():
        what = f"there is no model {recipe.model}" if not recipe.model.exists() else f"{recipe.model} is a folder, not a model"
        yield Problem(recipe.where("model"), what, "paths are relative to the recipe; --model takes another")
    for step in recipe.steps:
        for name, file in step.pass_.files().items():
            if not file.is_file():
                yield Problem(step.where, f"{step.word}: {name}: there is no file {file}", "paths are relative to the recipe")


def _chain(recipe: Recipe) -> Iterator[Problem]:
    at, of = _format(recipe), "the model"
    for step in recipe.steps:
        if at not in step.pass_.formats():
            what = f"{step.word} takes {' or '.join(step.pass_.formats())}, and {of} is {at}"
            yield Problem(step.where, what, "change the order of the passes, or leave this one out")
        at, of = step.pass_.gives_for(at), f"what {step.word} gives"


def _missing_extras(recipe: Recipe) -> Iterator[Problem]:
    """Each that is not installed, once: where it is needed first."""
    told = set[str]()
    if _format(recipe) == "torch" and not has("torch"):
        told.add("torch")
        yield Problem(recipe.where("model"), "a PyTorch model needs torch, which is not installed", "pip install 'optkit[torch]'")
    for step, at in zip(recipe.steps, _formats(recipe), strict=False):
        for extra in step.pass_.needs_for(at):
            if extra not in told and not has(extra):
                told.add(extra)
                what = f"the pass {step.word} needs {EXTRAS[extra]}, which is not installed"
                yield Problem(step.where, what, f"pip install 'optkit[{extra}]'")


def _data(recipe: Recipe) -> Iterator[Problem]:
    given = recipe.data
    for step in recipe.steps:
        splits = step.pass_.splits()
        if not splits or step.pass_.draws_if_given or given.whole or any(getattr(given, split) for split in splits):
            continue
        what = f"the pass {step.word} needs {' or '.join(splits)} examples"
        hint = "made-up inputs will not do" if given.synthetic else f"say where they are: data: {{{splits[0]}: FILE}}"
        yield Problem(step.where, what, hint)
    if not (given.whole or given.evaluation or given.calibration or given.synthetic):
        what = "there is no data to compare original and result on"
        yield Problem(recipe.where("data"), what, "add data: {evaluation: FILE}, or data: synthetic for made-up inputs")


def _output(recipe: Recipe) -> Iterator[Problem]:
    """The folder is made when it is not there; the one that it stands in must be."""
    if recipe.output is None:
        return
    try:
        check_folder(recipe.output if recipe.output.exists() else recipe.output.parent)
    except OptkitError as error:
        yield Problem(recipe.where("output"), f"{error.where}: {error.what}", error.hint)


def _format(recipe: Recipe) -> str:
    return format_of(recipe.model)


def _formats(recipe: Recipe) -> tuple[str, ...]:
    """Of the model, and after each step."""
    found = [_format(recipe)]
    for step in recipe.steps:
        found.append(step.pass_.gives_for(found[-1]))
    return tuple(found)
