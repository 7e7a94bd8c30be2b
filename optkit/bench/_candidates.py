"""Models that scenarios send queries to: opened with feeds of a batch size, or with a signal that goes on."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.errors import UsageError
from optkit.measure.feeds import Feed, fitted, timed_feeds
from optkit.measure.names import distinguishing_names
from optkit.runtimes import Session, fixed_batch, open_session
from optkit.scenarios import Candidate, Traffic
from optkit.timing.lanes import Calls, Opener, opener

STREAM = 256
"""Chunks after which a stream starts again."""


def candidates(
    models: Sequence[Artifact], examples: Examples, device: str, threads: int, traffic: Traffic, *, streaming: bool
) -> list[Candidate]:
    """The models, ready for a scenario. Raises UsageError where a state that is named is not there, ModelError or DataError."""
    names = distinguishing_names([model.path for model in models])
    return [_candidate(model, name, examples, device, threads, traffic, streaming) for model, name in zip(models, names, strict=True)]


def _candidate(model: Artifact, name: str, examples: Examples, device: str, threads: int, traffic: Traffic, streaming: bool) -> Candidate:
    session = open_session(model.path, device, threads)
    inputs = session.inputs
    if streaming:
        states = states_of(session, traffic.states, examples)
        feeds = [dict(feed) for feed, _ in zip(examples.feeds(1), range(STREAM), strict=False)]
        return Candidate(name, lambda _: _stream(lambda: open_session(model.path, device, threads), feeds, states), (1,))
    fixed = 1 if examples.whole else fixed_batch(session)
    taken = tuple(batch for batch in traffic.batches if fixed in (None, batch)) or ((fixed,) if fixed else ())

    def opener_of(batch: int) -> Opener:
        feeds = [fitted(feed, inputs) for feed in timed_feeds(examples, batch)]
        return opener(lambda: open_session(model.path, device, threads), feeds)

    return Candidate(name, opener_of, taken)


def _stream(opened: Callable[[], Session], feeds: Sequence[Feed], states: Mapping[str, str]) -> Opener:
    def open_and_start() -> Calls:
        session, now = opened(), 0
        held = {taken: np.zeros_like(feeds[0][taken]) for taken in states.values()}

        def call() -> None:
            nonlocal now
            answers = session.run({**feeds[now % len(feeds)], **held})
            now += 1
            for given, taken in states.items():
                held[taken] = answers[given]

        return [call]

    return open_and_start


def states_of(session: Session, named: Mapping[str, str], examples: Examples) -> dict[str, str]:
    """Output → input that takes it with the next chunk: those named, or those whose names say so (`state` and `stateN`, `h` and `h_out`).

    Raises UsageError where a name is wrong, and where nothing looks like a state.
    """
    given, taken = [port.name for port in session.outputs], [port.name for port in session.inputs]
    for output, into in named.items():
        if output not in given or into not in taken:
            hint = f"outputs: {', '.join(given)}; inputs: {', '.join(taken)}"
            raise UsageError(f"--state {output}={into}: the model has no such output and input", hint=hint)
    found = dict(named) or {output: into for output in given for into in taken if _belongs(output, into)}
    if not found:
        raise UsageError("no output looks like a state that the model takes with the next chunk", hint="name it with --state OUTPUT=INPUT")
    for into in found.values():
        if into not in examples.arrays:
            raise UsageError(f"the data has no array for the state {into!r}", hint="give it one of its shape; it starts at 0")
    return found


def _belongs(output: str, into: str) -> bool:
    """Whether an output is called like an input, but for what tells new from old."""
    marks = ("n", "out", "new", "next", "present", "output", "in", "old", "prev", "past", "input")
    bare = [name.lower().replace(".", "_") for name in (output, into)]
    stems = ["_".join(part for part in name.split("_") if part not in marks) for name in bare]
    return bool(stems[1]) and stems[0] in (stems[1], f"{stems[1]}n", f"{stems[1]}out", f"{stems[1]}new")
