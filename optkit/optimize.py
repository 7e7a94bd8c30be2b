"""The only loop that runs passes. It keeps the contract for them: cached, checked, atomic, deterministic."""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import Any

from optkit import records
from optkit.artifact import Artifact, Made
from optkit.cores import usable_cores
from optkit.datasets import Examples
from optkit.draft import FORBIDDEN, FULL, check_output, disk_error, draft_folder, publish
from optkit.errors import DataError, MissingLibrary, NothingPaid, OptkitError, PassFailed, UsageError
from optkit.formats import NAMES, digest_of, model_files, rename_model
from optkit.manifest import CHOSEN_ON, MEASURED, stamp
from optkit.measure import detect_machine
from optkit.passes import Job, Pass, word_of
from optkit.progress import Progress, silent
from optkit.soundness import Behaviour, check_original, complaint, examples_for, observe
from optkit.store import Store
from optkit.training.processes import helps
from optkit.versions import versions_for


def optimize(
    source: Artifact,
    steps: Sequence[Pass],
    *,
    target: Path,
    examples: Mapping[str, Examples] | None = None,
    device: str = "cpu",
    threads: int = 1,
    seed: int = 0,
    cache: Store | None = None,
    progress: Progress = silent,
    force: bool = False,
    wheres: Sequence[str | None] = (),
) -> Artifact:
    """Run passes one after the other and write the result to `target`, which appears only when everything is right.

    `examples` holds the data by split (`calibration`, `training`, `evaluation`); a pass gets the split that it draws, and every
    result is tried on what there is, or on made-up inputs. `cache` keeps finished steps. `wheres` names each step's place in a
    recipe (`file:line`). Raises UsageError (the output cannot be written), DataError (examples are missing), PassFailed (a pass
    broke, or what it made is unsound), and whatever OptkitError a pass has to say, such as NothingPaid. Nothing is left behind then.
    """
    if not steps:
        raise UsageError("there is nothing to do: no pass is named", hint="`optkit passes` lists them")
    given = dict(examples or {})
    _check_draws(steps, given, wheres)
    chain = _Chain(source, tuple(steps), given, device, threads, seed, cache, progress, tuple(wheres))
    if helps():
        return chain.help(target)
    check_output(target, source.path, force=force)
    with draft_folder(target.parent) as folder:
        try:
            made = chain.make(folder)
            path = rename_model(made.path, target.name)
            stamp(path, source, made.lineage[len(source.lineage) :])
            made = replace(made, path=path, digest=digest_of(path))
            old = _weights(target)
            publish(made.path, model_files(made.path)[1:], target)
        except NothingPaid as nothing:
            if nothing.kept is not None:
                _keep_best_effort(nothing, nothing.kept, target, force=force)
            raise
        except OSError as error:
            raise disk_error(error, target.parent) from error
    for file in set(old) - set(_weights(target)):
        file.unlink(missing_ok=True)
    return replace(made, path=target)


def _keep_best_effort(error: NothingPaid, draft: Path, target: Path, *, force: bool) -> None:
    """Publish what came nearest under a name that nobody takes for a success, and say so in the hint."""
    place = target.with_suffix(f".best-effort{target.suffix}")
    if place.exists() and not force:
        said = f"the best so far was not kept: {place} exists already (--force replaces it)"
    else:
        path = rename_model(draft, place.name)
        publish(path, model_files(path)[1:], place)
        said = f"the best so far, which breaks the limit, is kept as {place}"
    error.hint = f"{error.hint}\n{said}" if error.hint else said


def step_key(source: str, step: Pass, data: str | None, device: str, threads: int, seed: int, original: str = "") -> str:
    """What decides a step's result, as one hash: under it the result is kept. `source`, `data` and `original` are digests."""
    machine = detect_machine()  # passes that measure choose by it
    parameters = step.model_dump(mode="json")
    facts = {
        "source": source,
        "pass": f"{type(step).__module__}.{type(step).__qualname__}",
        "revision": step.revision,
        "parameters": parameters,
        "versions": versions_for([extra for taken in step.formats() for extra in step.needs_for(taken)]),
        "data": data,
        "device": device,
        "threads": threads,
        "seed": seed,
        "machine": [machine.processor, machine.features, *([machine.gpus] if device != "cpu" else [])],
        **({"cores": [machine.cores, usable_cores()]} if threads == 0 or _takes_all_threads(parameters) else {}),
        **({"depends": dict(depends)} if (depends := step.depends(original)) else {}),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _takes_all_threads(parameters: Mapping[str, Any]) -> bool:
    """Whether a pass trains with as many threads as there are cores: sums then come out a little different elsewhere."""
    inner = (value for value in parameters.values() if isinstance(value, Mapping))
    return parameters.get("training_threads") == 0 or any(map(_takes_all_threads, inner))


def kept_steps(
    source: str,
    steps: Sequence[Pass],
    examples: Mapping[str, Examples],
    *,
    device: str = "cpu",
    threads: int = 1,
    seed: int = 0,
    cache: Store | None = None,
) -> tuple[bool, ...]:
    """Which steps a run would take from the cache: up to the first that is not there. `source` is the model's digest."""
    found: list[bool] = []
    original = source
    for step in steps:
        data = drawn(step, examples)
        key = step_key(source, step, data.digest if data else None, device, threads, seed, original)
        facts = cache.facts(key) if cache is not None else None
        if facts is None:
            break
        source = json.loads(facts)["digest"]
        found.append(True)
    return (*found, *[False] * (len(steps) - len(found)))


def drawn(step: Pass, examples: Mapping[str, Examples]) -> Examples | None:
    """The examples that a pass gets: those of the split that it draws."""
    return next((examples[split] for split in step.splits() if split in examples), None)


@dataclass(frozen=True)
class _Chain:
    """One run over all steps, with everything that stays the same from step to step."""

    original: Artifact
    steps: tuple[Pass, ...]
    examples: Mapping[str, Examples]
    device: str
    threads: int
    seed: int
    cache: Store | None
    progress: Progress
    wheres: tuple[str | None, ...]
    seen: dict[str, Behaviour | None] = field(default_factory=dict)
    """How models behaved that were tried already, by digest."""

    def make(self, folder: Path) -> Artifact:
        artifact = self.original
        for i, step in enumerate(self.steps):
            self.progress(f"step {i + 1} of {len(self.steps)}: {word_of(step)}", 0, 0)
            place = folder / str(i)
            place.mkdir()
            with self._told_at(i):
                artifact = self._stepped(i, artifact, place)
        return artifact

    def _stepped(self, i: int, artifact: Artifact, place: Path) -> Artifact:
        step = self.steps[i]
        key = step_key(artifact.digest, step, self._data_digest(step), self.device, self.threads, self.seed, self.original.digest)
        draft = place / NAMES[step.gives_for(artifact.format)]  # the same for every run, so that kept steps serve targets of any name
        kept = self._take(key, artifact, draft)
        if kept is None:
            kept = self._run(i, artifact, draft, None if self.cache is None else self.cache.unfinished(key))
            self._keep(key, kept)
        return kept

    @contextmanager
    def _told_at(self, i: int) -> Iterator[None]:
        """Errors of a step name its line in the recipe, before what they say themselves of where it is."""
        try:
            yield
        except OptkitError as error:
            line = self.wheres[i] if i < len(self.wheres) else None
            if line is None:
                error.where = error.where or (None if isinstance(error, MissingLibrary) else str(self.original.path))
            elif not (error.where or "").startswith(line):
                error.where = f"{line}: {error.where}" if error.where else line
            raise

    def help(self, target: Path) -> Artifact:
        """Go through the same steps as the first process of a launch, for it to train with; it alone writes `target`."""
        with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
            return replace(self.make(Path(folder)), path=target)

    def _run(self, i: int, source: Artifact, target: Path, unfinished: Path | None) -> Artifact:
        step = self.steps[i]
        before = self._observe(source)
        if i == 0 and self._tried_on is not None and not self._tried_on.synthetic and len(self._tried_on) > 1:
            check_original(before, source.path)
        data = drawn(step, self.examples)
        job = Job(self.original, data, self.device, self.threads, self.seed, self._progress_of(step), kept=unfinished)
        try:
            step.run(source, target, job)
        except OptkitError:
            raise
        except Exception as error:  # whatever a pass or a library under it raises
            if isinstance(error, OSError) and error.errno in FULL | FORBIDDEN:
                raise
            raise self._failed(i, f"{type(error).__name__}: {shorten(str(error), LONGEST_CAUSE, placeholder=' …')}") from error
        if any(name.startswith(MEASURED) for name in job.notes):
            job.note(CHOSEN_ON, list(detect_machine().features))  # what was measured depends on it
        made = Made(
            by=word_of(step),
            parameters=step.model_dump(mode="json"),
            source=source.digest,
            data=data.digest if data else None,
            versions=versions_for(step.needs_for(source.format)),
            seed=self.seed,
            notes=job.notes,
        )
        if not target.is_file():
            raise self._failed(i, "it wrote no model")
        if digest_of(source.path) != source.digest:
            raise self._failed(i, "it changed the model that it reads")
        try:
            result = Artifact(target, step.gives_for(source.format), digest_of(target), (*source.lineage, made))
            after = self._observe(result)
        except OptkitError as error:
            raise self._failed(i, f"its result does not run: {error.what}") from error
        if found := complaint(before, after):
            raise self._failed(i, found)
        return result

    def _progress_of(self, step: Pass) -> Progress:
        """Of several steps it is said which one works."""
        if len(self.steps) == 1:
            return self.progress
        return lambda what, done, total: self.progress(f"{word_of(step)}: {what}", done, total)

    def _observe(self, artifact: Artifact) -> Behaviour | None:
        if artifact.digest not in self.seen:
            self.seen[artifact.digest] = observe(artifact.path, self._tried_on, self.device, self.threads)
        return self.seen[artifact.digest]

    @cached_property
    def _tried_on(self) -> Examples | None:
        """Examples that results are tried on: given ones, else made-up ones where the model that came in takes them."""
        given = [self.examples[split] for split in ("evaluation", "calibration", "training") if split in self.examples]
        return given[0] if given else examples_for(self.original.path, self.device, self.threads, self.seed)

    def _data_digest(self, step: Pass) -> str | None:
        data = drawn(step, self.examples)
        return data.digest if data else None

    def _take(self, key: str, source: Artifact, target: Path) -> Artifact | None:
        if self.cache is None or (facts := self.cache.take(key, target.parent)) is None:
            return None
        try:
            kept: dict[str, Any] = json.loads(facts)
            if digest_of(target) != kept["digest"]:
                raise ValueError("damaged")
            made = records.read_record(Made, json.dumps(kept["made"]))
        except (OptkitError, OSError, ValueError, KeyError):
            self.cache.drop(key)
            for file in target.parent.iterdir():
                file.unlink()
            return None
        return Artifact(target, kept["format"], kept["digest"], (*source.lineage, made))

    def _keep(self, key: str, artifact: Artifact) -> None:
        if self.cache is not None:
            facts = {"format": artifact.format, "digest": artifact.digest, "made": records.plain(artifact.lineage[-1])}
            self.cache.keep(key, model_files(artifact.path), json.dumps(facts, indent=2))

    def _failed(self, i: int, why: str) -> PassFailed:
        before = [word_of(step) for step in self.steps[:i]]
        parameters = self.steps[i].model_dump(mode="json", exclude_defaults=True)
        where = self.wheres[i] if i < len(self.wheres) else None
        return PassFailed(word_of(self.steps[i]), parameters, before, why, where=where, hint=_FAILED_HINT)


LONGEST_CAUSE = 300
"""Characters of what a library says of itself: some print whole graphs."""
_FAILED_HINT = "leave this pass out, or set its parameters otherwise"


def _check_draws(steps: Sequence[Pass], examples: Mapping[str, Examples], wheres: Sequence[str | None]) -> None:
    for i, step in enumerate(steps):
        if step.splits() and not step.draws_if_given and drawn(step, examples) is None:
            where = wheres[i] if i < len(wheres) else None
            raise DataError(
                f"the pass {word_of(step)} needs {' or '.join(step.splits())} examples",
                where=where,
                hint="give them with --data, or as `data:` in the recipe",
            )


def _weights(model: Path) -> tuple[Path, ...]:
    """The files beside a model that hold its weights; none where there is no readable model."""
    try:
        return model_files(model)[1:] if model.is_file() else ()
    except OptkitError:
        return ()
