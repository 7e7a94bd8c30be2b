"""How much of the original's score a variant loses, on labelled examples."""

from collections.abc import Callable, Mapping

import numpy as np

from optkit.artifact import Artifact
from optkit.datasets import Array, Examples
from optkit.errors import DataError
from optkit.metrics import Metric, SetMetric, default_metrics, find_metric
from optkit.passes import Job
from optkit.runtimes import Session, full_feeds, open_session
from optkit.stats.summaries import summarize

BATCH = 16


def drop_asked_for(source: Artifact, job: Job, limit: float | None, word: str | None) -> Callable[[Session], float] | None:
    """`drop_against` the model at `source` on the job's examples; None where no limit is set. Raises DataError without labelled ones."""
    if limit is None:
        return None
    if job.examples is None or job.examples.synthetic:
        raise DataError("a limit on the drop needs labelled examples", hint="pass --data with an array `labels`")
    return drop_against(open_session(source.path, job.device, job.threads), job.examples, word)


def drop_against(original: Session, examples: Examples, word: str | None) -> Callable[[Session], float]:
    """A function from a variant to its loss relative to the original's score: 0.01 is one percent of it, negative is a gain.

    `word` names the metric; None takes the one that suits the labels. Raises DataError when there are no labels, or none that fit.
    """
    if examples.labels is None:
        raise DataError("a limit on the drop needs labels", where=examples.source, hint="add an array `labels` to the data")
    first = _answers(original, next(full_feeds(original, examples, BATCH)), examples.whole)
    metric = find_metric(word) if word else default_metrics(examples.take(slice(0, len(next(iter(first.values()))))).labels, first)[0]
    if metric.needs != "labels":
        raise DataError("the labels fit no metric", where=examples.source, hint="name a metric, or write one: --metric module:function")
    before = _summary(metric, original, examples)

    def drop(variant: Session) -> float:
        lost = before - _summary(metric, variant, examples)
        return (lost if metric.better == "higher" else -lost) / abs(before) if before else float(lost != 0)

    return drop


def _summary(metric: Metric, session: Session, examples: Examples) -> float:
    assert examples.labels is not None
    scores: list[Array] = []
    parts: list[Array] = []
    done = 0
    for feed in full_feeds(session, examples, BATCH):
        answers = _answers(session, feed, examples.whole)
        count = 1 if examples.whole else min(len(next(iter(feed.values()))), len(examples) - done)
        scored = {name: value[:count] for name, value in answers.items()}, examples.labels[done : done + count]
        if isinstance(metric, SetMetric):
            parts += metric.parts(*scored)
        else:
            scores.append(metric.score(*scored))
        done += count
    every = np.concatenate(scores) if scores else np.zeros(len(parts))
    return summarize(metric.summary, every, parts, examples.labels.reshape(len(every), -1)[:, 0])


def _answers(session: Session, feed: Mapping[str, Array], whole: bool) -> dict[str, Array]:
    answers = session.run(feed)
    return {name: value[None] for name, value in answers.items()} if whole else answers
