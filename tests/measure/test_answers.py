"""Scores of every model, batch by batch."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optkit.datasets import Examples
from optkit.errors import ModelError
from optkit.measure._answers import score_all
from optkit.metrics import SetMetric, find_metric
from optkit.progress import silent
from optkit.samples import Samples

WEIGHTS = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
Answer = Callable[[Mapping[str, Any]], dict[str, Any]]


def linear(scale: float = 1.0, noise: float = 0.0) -> Answer:
    tilt = np.random.default_rng(5).normal(size=(4, 3)).astype(np.float32) * noise
    return lambda feed: {"logits": feed["x"] @ (WEIGHTS * scale + tilt)}


def spoilt(value: float, row: int) -> Answer:
    """The linear model, with one value replaced in the answer to the example whose number is in its first place."""

    def answer(feed: Mapping[str, Any]) -> dict[str, Any]:
        logits = feed["x"] @ WEIGHTS
        logits[feed["x"][:, 0] == row, 1] = value
        return {"logits": logits}

    return answer


def scored(fake_session: Any, answers: list[Answer], examples: Examples, words: list[str] | None, batch: int = 4, size: Any = "n") -> Any:
    metrics = None if words is None else [find_metric(word) for word in words]
    sessions = [fake_session(answer, size) for answer in answers]
    return score_all(sessions, [f"m{i}" for i in range(len(answers))], examples, metrics, batch, None, silent)


def by_name(samples: tuple[Samples, ...]) -> dict[str, Samples]:
    return {each.metric: each for each in samples}


class Interrupted:
    """The linear model, stopped by Ctrl-C in a call that a test chooses."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return linear()(feed)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(count=st.integers(2, 400), batch=st.integers(1, 9), at=st.integers(1, 60), size=st.booleans())
def test_the_first_examples_score_alike_when_the_others_are_left(fake_session: Any, count: int, batch: int, at: int, size: bool) -> None:
    dice = np.random.default_rng(count)
    labels, groups = dice.integers(0, 2, count), np.arange(count) // 2
    examples = Examples("some.npz", {"x": dice.normal(size=(count, 4)).astype(np.float32)}, labels, groups)
    metrics = [find_metric(word) for word in ("top1", "f1_macro", "cosine")]
    left: list[int] = []
    fixed = batch if size else "n"
    sessions = [fake_session(linear(noise=0.5), fixed), fake_session(Interrupted(at), fixed)]
    found = score_all(sessions, ["a", "b"], examples, metrics, batch, None, silent, interrupted=left.append)
    done = min(at * batch, count)
    assert left == ([] if done == count else [count - done])
    part = examples.take(slice(0, done))
    whole = scored(fake_session, [linear(noise=0.5), linear()], part, ["top1", "f1_macro", "cosine"], batch, fixed)
    assert found == whole


def test_what_so_few_examples_do_not_have_is_left_out(fake_session: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    examples = Examples("sorted.npz", {"x": rows}, np.repeat([0, 1], 10))
    metrics = [find_metric("auroc"), find_metric("top1")]
    answers = {at: [linear(), Interrupted(at)] for at in (5, 15)}
    for at, named in ((5, ["top1"]), (15, ["auroc", "top1"])):
        sessions = [fake_session(lambda feed, a=a: {"logits": a(feed)["logits"][:, :2]}) for a in answers[at]]
        found = score_all(sessions, ["a", "b"], examples, metrics, 1, None, silent, interrupted=lambda left: None)
        assert [[each.metric for each in samples] for samples in found] == [named, named]
        assert all(len(each.values) == at for samples in found for each in samples)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(count=st.integers(1, 300), batch=st.integers(1, 40), fixed=st.booleans())
def test_batches_change_no_score(fake_session: Any, count: int, batch: int, fixed: bool) -> None:
    dice = np.random.default_rng(count)
    examples = Examples("some.npz", {"x": dice.normal(size=(count, 4)).astype(np.float32)}, dice.integers(0, 3, count))
    answers = [linear(), linear(noise=0.3)]
    found = scored(fake_session, answers, examples, ["top1", "agreement", "sqnr"], batch, batch if fixed else "n")
    reference = answers[0](examples.arrays)
    for answer, samples in zip(answers, found, strict=True):
        for word in ("top1", "agreement", "sqnr"):
            wanted = find_metric(word).score(answer(examples.arrays), examples.labels, reference)
            np.testing.assert_allclose(by_name(samples)[word].values, wanted, rtol=1e-3)


def test_what_samples_say(fake_session: Any, examples: Examples) -> None:
    before, after = scored(fake_session, [linear(), linear(2.0)], examples, ["top1", "cosine"])
    assert [each.metric for each in before] == ["top1", "cosine"]
    top1 = by_name(after)["top1"]
    assert (top1.unit, top1.better, top1.paired_by, top1.summary) == ("ratio", "higher", "example", "mean")
    assert top1.groups == (0, 0, 1, 1, 2, 2, 3, 3, 4, 4)
    assert by_name(after)["cosine"].values == pytest.approx((1.0,) * 10)


def test_labels_go_with_scores_that_need_them(fake_session: Any, examples: Examples) -> None:
    two = Examples(examples.source, examples.arrays, (np.arange(10) % 2).reshape(10, 1))
    one_score: Answer = lambda feed: {"score": feed["x"][:, :1]}  # noqa: E731
    (found,) = scored(fake_session, [one_score], two, ["auroc"])
    assert found[0].summary == "auroc"
    assert found[0].labels == (0, 1) * 5
    assert found[0].groups == ()


def test_metrics_that_suit_are_chosen_when_none_are_given(fake_session: Any, examples: Examples) -> None:
    (found,) = scored(fake_session, [linear()], examples, None)
    assert [each.metric for each in found] == ["top1", "agreement", "cosine", "sqnr"]
    without = Examples(examples.source, examples.arrays)
    assert [each.metric for each in scored(fake_session, [linear()], without, None)[0]] == ["agreement", "cosine", "sqnr"]


def test_whole_feeds_are_scored_as_one_example_each(fake_session: Any) -> None:
    whole = Examples("clips.npz", {"x": np.ones((5, 2, 4), np.float32)}, np.zeros(5, np.int64), whole=True)
    sequence: Answer = lambda feed: {"logits": np.array([[3, 2, 1]], np.float32)}  # noqa: E731
    (found,) = scored(fake_session, [sequence], whole, ["top1", "cosine"], 1)
    assert by_name(found)["top1"].values == (1.0,) * 5


def test_sequences_of_whole_feeds_are_no_images(fake_session: Any) -> None:
    whole = Examples("clips.npz", {"x": np.arange(5, dtype=np.float32).reshape(5, 1, 1)}, whole=True)
    truth = np.random.default_rng(0).dirichlet(np.ones(9) / 9, (1, 6)).astype(np.float32)
    other = truth.copy()
    other[:, :3] = np.roll(other[:, :3], 1, -1)  # three of six positions answer otherwise
    _, found = scored(fake_session, [lambda feed: {"p": truth}, lambda feed: {"p": other}], whole, ["agreement"], 1)
    assert by_name(found)["agreement"].values == (0.5,) * 5


def numbered(count: int = 6) -> Examples:
    x = np.ones((count, 4), np.float32)
    x[:, 0] = np.arange(count)
    return Examples("some.npz", {"x": x}, np.zeros(count, np.int64))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_broken_answers_are_recorded_for_all_models(fake_session: Any, value: float) -> None:
    before, after, third = scored(fake_session, [linear(), spoilt(value, 4), linear(2.0)], numbered(), ["top1"])
    assert by_name(after)["finite"] == Samples("finite", "ratio", "higher", (1, 1, 1, 1, 0, 1), "example")
    assert by_name(before)["finite"].values == by_name(third)["finite"].values == (1.0,) * 6


def test_sound_answers_are_not_mentioned(fake_session: Any) -> None:
    assert all("finite" not in by_name(found) for found in scored(fake_session, [linear(), linear()], numbered(), ["top1"]))


def test_infinity_where_the_original_has_it_is_no_fault(fake_session: Any) -> None:
    masked = spoilt(-np.inf, 2)
    assert all("finite" not in by_name(found) for found in scored(fake_session, [masked, masked], numbered(), ["top1"]))
    _, after = scored(fake_session, [masked, spoilt(np.nan, 2)], numbered(), ["top1"])
    assert by_name(after)["finite"].values == (1, 1, 0, 1, 1, 1)


def test_an_original_that_is_broken_is_refused(fake_session: Any) -> None:
    with pytest.raises(ModelError) as caught:
        scored(fake_session, [spoilt(np.nan, 4), linear()], numbered(), ["top1"])
    assert str(caught.value).startswith("m0: its output 'logits' is NaN for example 4 of some.npz\nhint: ")


def test_answers_of_changing_shape_are_scored_apart(fake_session: Any) -> None:
    long_for_odd: Answer = lambda feed: {"logits": np.ones((1, 3 + int(feed["x"][0, 0]) % 2), np.float32)}  # noqa: E731
    first, second = scored(fake_session, [long_for_odd, long_for_odd], numbered(), ["agreement"], 1)
    assert by_name(first)["agreement"].values == by_name(second)["agreement"].values == (1.0,) * 6


def test_progress_ends_with_the_last_example(fake_session: Any) -> None:
    told: list[tuple[str, int, int]] = []
    score_all([fake_session(linear())], ["m"], numbered(7), [find_metric("top1")], 2, None, lambda *said: told.append(said))
    assert told[-1] == ("answers", 7, 7)


def test_what_a_summary_is_made_of_goes_with_the_scores(fake_session: Any, examples: Examples) -> None:
    (found,) = scored(fake_session, [linear()], examples, ["f1_macro"], batch=3)
    assert found[0].summary == "f1_macro"
    assert len(found[0].parts) == len(found[0].values) == 10
    whole = find_metric("f1_macro")
    assert isinstance(whole, SetMetric)
    wanted = whole.parts(linear()(examples.arrays), examples.labels)
    assert [list(row) for row in found[0].parts] == [row.tolist() for row in wanted]
