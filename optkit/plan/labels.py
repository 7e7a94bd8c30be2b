"""Whether accuracy can be measured, where a recipe wants it: known before any work is done."""

from optkit.datasets import Examples
from optkit.errors import DataError, OptkitError
from optkit.metrics import default_metrics, find_metric
from optkit.recipe import Recipe
from optkit.runtimes import Session, batch_of


def check_labels(recipe: Recipe, examples: Examples | None, session: Session) -> None:
    """Labels are there, and fit a metric, where something in the recipe needs them; `examples` None are made up. Raises DataError."""
    words, output = recipe.measure.metrics or (), recipe.measure.output
    labelled = examples is not None and examples.labels is not None
    lack = "made-up inputs have none" if examples is None else f"{examples.source} has none"
    for i, word in enumerate(words):
        if find_metric(word, output).needs == "labels" and not labelled:
            where = recipe.where(f"measure.metrics.{i}")
            raise DataError(f"{word} needs labels, and {lack}", where=where, hint="add an array `labels`, or measure agreement")
    gate = recipe.gate
    if gate is None or (gate.max_drop is None and gate.preset is None):
        return
    limit = "max_drop" if gate.preset is None else "preset"
    where = recipe.where(f"gate.{limit}")
    if not labelled:
        hint = "add an array `labels`, or limit min_agreement in its place"
        raise DataError(f"{limit} limits accuracy, which needs labels, and {lack}", where=where, hint=hint)
    if examples is not None and not words and not has_accuracy(session, examples, output):
        what = f"{limit} limits accuracy, and the labels of {examples.source} fit no metric that is known for such outputs"
        raise DataError(what, where=where, hint="name one as measure: {metrics: module:function}, or limit min_agreement in its place")


def has_accuracy(session: Session, examples: Examples, output: str | None = None) -> bool:
    """Whether the labels fit a metric that is measured without being named; the model answers one batch to see."""
    few = examples.spread(batch_of(session))
    answers = session.run(next(iter(few.feeds(len(few)))))
    if few.whole:
        answers = {name: answer[None] for name, answer in answers.items()}
    try:
        return any(metric.needs == "labels" for metric in default_metrics(few.labels, answers, output))
    except OptkitError:
        return False
