"""Follow a plan to its end: make the model, prove what it gained and cost, and put both in a folder, all of it or nothing."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optkit.artifact import Artifact, Made
from optkit.compare import Comparison
from optkit.draft import check_folder, check_output, disk_error, draft_folder, publish
from optkit.formats import NAMES, model_files
from optkit.manifest import CHOSEN_ON, MEASURED
from optkit.measure.names import distinguishing_names
from optkit.optimize import optimize
from optkit.plan import Plan
from optkit.plan.preview import Material, compared_on, gather
from optkit.plan.torch_source import trusting_recipe
from optkit.progress import Progress, silent
from optkit.prove import prove
from optkit.quantization.calibration.note import NOTE
from optkit.report import Report
from optkit.reports import html, json, markdown
from optkit.store import Store, default_place
from optkit.training.processes import helps

KEYS = {"time": "measure.time", "threads": "measure.threads", "output": "measure.output", "data": "data.evaluation"}
OPTION = re.compile(rf"--({'|'.join(KEYS)})\b( \d+\w*)?")
REPORTS = {"report.json": json, "report.md": markdown, "report.html": html}


@dataclass(frozen=True)
class RunResult:
    """What following a recipe made: a model, and what it gained and cost."""

    model: Artifact
    report: Report
    folder: Path
    """Where the model, report.json, report.md and report.html are."""


def follow(plan: Plan, folder: Path | None = None, *, cache: bool = True, force: bool = False, progress: Progress = silent) -> RunResult:
    """Run the passes of a plan, compare result and original, hold it against the gate, and write model and reports to `folder`.

    Without `folder` it is the recipe's, or one of the recipe's name in the current folder. It is made when it is not there.
    Raises what `optimize` and `prove` raise, and leaves nothing behind then. A broken limit raises nothing: the verdict says so.
    Of several processes (`torchrun`) only the first comes back: the others help to train, and end.
    """
    if helps():
        with trusting_recipe(plan.recipe):
            _make(plan, gather(plan), Path(plan.recipe.name), cache, silent)
        raise SystemExit(0)
    folder = folder or plan.recipe.output or Path(Path(plan.recipe.name).stem)
    name = plan.recipe.model.name
    if plan.formats[-1] != plan.formats[0]:
        name = Path(name).with_suffix(Path(NAMES[plan.formats[-1]]).suffix).name
    with _standing(folder), trusting_recipe(plan.recipe):
        for file in (name, *REPORTS):
            check_output(folder / file, plan.recipe.model, force=force)
        material = gather(plan)
        with draft_folder(folder) as draft:
            # the same last names as in the end: the report calls the model what it will be called
            target = draft / distinguishing_names((plan.recipe.model, folder / name))[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            made = _make(plan, material, target, cache, progress)
            report = _prove(plan, material, made, folder / name, progress)
            try:
                for file, form in REPORTS.items():
                    (draft / file).write_text(form.render(report), encoding="utf-8")
                publish(made.path, model_files(made.path)[1:], folder / name)
                for file in REPORTS:
                    publish(draft / file, (), folder / file)
            except OSError as error:
                raise disk_error(error, folder) from error
    return RunResult(replace(made, path=folder / name), report, folder)


def _make(plan: Plan, material: Material, target: Path, cache: bool, progress: Progress) -> Artifact:
    return optimize(
        material.source,
        plan.steps,
        target=target,
        examples=material.examples,
        device=plan.device,
        threads=plan.recipe.threads,
        seed=plan.recipe.seed,
        cache=Store(default_place()) if cache else None,
        progress=progress,
        wheres=plan.wheres,
    )


def _prove(plan: Plan, material: Material, made: Artifact, final: Path, progress: Progress) -> Report:
    recipe = plan.recipe
    report = prove(
        [material.source, made],
        compared_on(material.examples),
        replace(recipe.measure, seed=recipe.seed),
        synthetic=recipe.data.synthetic,
        limits=recipe.gate,
        title=Path(recipe.name).stem,
        progress=progress,
    )
    settled = tuple(
        replace(each, model=replace(each.model, path=final)) if each.model.path == made.path else each for each in report.measurements
    )
    notes = (*report.notes, *material.remarks, *(_told(step) for step in made.lineage))
    return replace(report, measurements=settled, notes=notes, comparisons=tuple(_in_words_of_recipes(each) for each in report.comparisons))


def _in_words_of_recipes(comparison: Comparison) -> Comparison:
    """Hints that name an option of the command line name the key that stands for it in a recipe."""

    def key(found: re.Match[str]) -> str:
        return KEYS[found[1]] + (f":{found[2]}" if found[2] else "")

    told = (replace(each, hint=OPTION.sub(key, each.hint)) for each in comparison.warnings)
    return replace(comparison, warnings=tuple(told))


def _told(step: Made) -> str:
    """What a pass had to say of its work, in one line."""
    told = {name: value for name, value in step.notes.items() if value and not name.startswith(MEASURED) and name not in (NOTE, CHOSEN_ON)}
    facts = [f"{name.replace('_', ' ')}: {_brief(value)}" for name, value in told.items()]
    return f"{step.by}: {'; '.join(facts)}" if facts else step.by


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_brief(each)}" for key, each in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = ", ".join(map(_brief, value[:4]))
        return f"{shown}, … ({len(value)} in all)" if len(value) > 4 else shown
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@contextmanager
def _standing(folder: Path) -> Iterator[None]:
    """The folder is there, made where it was not, and gone again where nothing came of it."""
    if folder.exists():
        check_folder(folder)
        yield
        return
    check_folder(folder.absolute().parent)
    try:
        folder.mkdir()
    except OSError as error:
        raise disk_error(error, folder) from error
    try:
        yield
    except BaseException:
        with suppress(OSError):  # not empty: someone else put something there
            folder.rmdir()
        raise
