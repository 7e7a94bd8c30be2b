"""Metrics of whole sets of examples, held against the libraries that everybody else uses."""

import contextlib
import io
from typing import Any

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import stats
from sklearn.metrics import f1_score, jaccard_score, log_loss

from optkit.arrays import Array
from optkit.errors import DataError, UsageError
from optkit.metrics import SetMetric, find_metric
from optkit.stats.summaries import summarize

WORDS = ["a", "bb", "the", "model", "fast"]


def value(word: str, outputs: Array | dict[str, Array], labels: Array) -> float:
    """What a metric says of all examples together, scored in two batches."""
    metric = find_metric(word)
    assert isinstance(metric, SetMetric)
    named = outputs if isinstance(outputs, dict) else {"y": outputs}
    half = len(labels) // 2
    parts = [
        row for rows in (slice(0, half), slice(half, None)) for row in metric.parts({k: v[rows] for k, v in named.items()}, labels[rows])
    ]
    assert np.isfinite(metric.alone(parts)).all()
    return summarize(metric.summary, np.zeros(len(parts)), parts, labels)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40))
def test_f1_is_sklearns(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(size=(n, 5)).astype(np.float32), rng.integers(0, 5, n)
    for average in ("macro", "micro"):
        assert value(f"f1_{average}", scores, labels) == pytest.approx(f1_score(labels, scores.argmax(1), average=average))
    yes, several = rng.random((n, 4)).astype(np.float32), rng.integers(0, 2, (n, 4))
    several[0], yes[0] = 1, 0.9
    for average in ("macro", "micro"):
        expected = f1_score(several, yes > 0.5, average=average, zero_division=0)
        assert value(f"f1_{average}", yes, several) == pytest.approx(expected)


def test_f1_of_a_probability_and_of_tagged_positions() -> None:
    rng = np.random.default_rng(0)
    chance, labels = rng.random((50, 1)).astype(np.float32), rng.integers(0, 2, 50)
    assert value("f1_macro", chance, labels) == pytest.approx(f1_score(labels, chance[:, 0] > 0.5, average="macro"))
    with pytest.raises(DataError, match="beyond 0 and 1"):
        value("f1_macro", chance * 3, labels)
    tags, scores = rng.integers(-1, 3, (20, 7)), rng.normal(size=(20, 7, 3)).astype(np.float32)
    counted = tags >= 0
    expected = f1_score(tags[counted], scores.argmax(2)[counted], average="macro")
    assert value("f1_macro", scores, tags) == pytest.approx(expected)
    assert value("f1_macro", np.moveaxis(scores, 2, 1), tags) == pytest.approx(expected)
    assert value("f1_macro", scores.argmax(2), tags) == pytest.approx(expected)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6))
def test_mean_iou_is_sklearns_jaccard_over_all_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(-1, 4, (5, 3, 6)), rng.normal(size=(5, 4, 3, 6)).astype(np.float32)
    kept = labels >= 0
    expected = jaccard_score(labels[kept], scores.argmax(1)[kept], average="macro")
    for answer in (scores, np.moveaxis(scores, 1, 3), scores.argmax(1), scores.argmax(1)[:, None]):
        assert value("mean_iou", answer, labels) == pytest.approx(expected)
    bytes_ = np.where(kept, labels, 255).astype(np.uint8)
    assert value("mean_iou", scores, bytes_) == pytest.approx(expected)
    with pytest.raises(UsageError, match="mean_iou wants"):
        value("mean_iou", scores[:, :, :2], labels)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.lists(st.sampled_from(WORDS), min_size=1), st.lists(st.sampled_from(WORDS))), min_size=2, max_size=6))
def test_error_rates_of_text_are_jiwers(lines: list[tuple[list[str], list[str]]]) -> None:
    truth, read = [" ".join(a) for a, _ in lines], [" ".join(b) for _, b in lines]
    answers, labels = np.array(read), np.array(truth)
    assert value("word_error_rate", answers, labels) == pytest.approx(jiwer.wer(truth, read))
    assert value("character_error_rate", answers, labels) == pytest.approx(jiwer.cer(truth, read))
    assert find_metric("exact_match").score({"y": answers}, labels).tolist() == [float(a == b) for a, b in lines]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 8))
def test_error_rates_of_ids_are_those_of_letters_and_ctc_is_decoded_first(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.where(np.arange(6) < rng.integers(1, 7, (n, 1)), rng.integers(1, 5, (n, 6)), -1)
    scores = rng.normal(size=(n, 9, 5)).astype(np.float32)
    paths = ["".join(map(str, row)) for row in scores.argmax(2)]
    read = ["".join(c for i, c in enumerate(path) if c != "0" and (i == 0 or path[i - 1] != c)) for path in paths]
    truth = ["".join(str(c) for c in row if c >= 0) for row in labels]
    expected = jiwer.cer(truth, read)
    for word in ("character_error_rate_ctc", "word_error_rate_ctc", "character_error_rate_ctc0"):
        assert value(word, scores, labels) == pytest.approx(expected)
    last = np.roll(scores, -1, axis=2)  # the blank becomes class 4, and every other class one less
    shifted = np.where(labels > 0, labels - 1, -1)
    assert value("character_error_rate_ctc_last", last, shifted) == pytest.approx(expected)
    padded = np.array([[*map(int, each), *[-1] * (9 - len(each))] for each in read])
    assert value("character_error_rate", padded, labels) == pytest.approx(expected)
    right = [float(a == b) for a, b in zip(read, truth, strict=True)]
    assert find_metric("exact_match_ctc").score({"y": scores}, labels).tolist() == right


def test_error_rates_say_what_they_cannot_read() -> None:
    ids, scores = np.zeros((4, 3), np.int64), np.zeros((4, 5, 7), np.float32)
    with pytest.raises(DataError, match=r"does not know how they are decoded[\s\S]*character_error_rate_ctc \(blank 0\)"):
        value("character_error_rate", scores, ids)
    with pytest.raises(DataError, match="answers with numbers, the labels are text"):
        value("word_error_rate", ids, np.array(["a"] * 4))
    with pytest.raises(DataError, match="class 9 cannot be the blank of 7"):
        value("word_error_rate_ctc9", scores, ids)
    with pytest.raises(DataError, match="needs labels"):
        find_metric("exact_match").score({"y": ids})


def test_perplexity_and_next_token_accuracy() -> None:
    rng = np.random.default_rng(0)
    logits, tokens = rng.normal(0, 3, (6, 5, 11)), rng.integers(0, 11, (6, 5))
    tokens[2, 3:] = tokens[4] = -1
    kept = tokens >= 0
    chances = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    expected = np.exp(log_loss(tokens[kept], chances[kept], labels=np.arange(11)))
    for answer in (logits, logits + 50, np.log(chances), chances):
        assert value("perplexity", answer, tokens) == pytest.approx(expected)
        right = (answer.argmax(2) == tokens)[kept].mean()
        assert value("next_token_accuracy", answer, tokens) == pytest.approx(right)
    assert value("perplexity", logits[:, 0], tokens[:, 0]) == pytest.approx(value("perplexity", logits[:, :1], tokens[:, :1]))
    with pytest.raises(DataError, match="a token for each position"):
        value("perplexity", logits, tokens[:, 1:])
    with pytest.raises(DataError, match="token 11 is none"):
        value("perplexity", logits, tokens + 1)


def test_correlations_are_scipys() -> None:
    rng = np.random.default_rng(2)
    labels = rng.normal(size=30)
    answer = (labels + rng.normal(size=30))[:, None].astype(np.float32)
    assert value("pearson", answer, labels) == pytest.approx(stats.pearsonr(answer[:, 0], labels).statistic)
    assert value("spearman", answer, labels) == pytest.approx(stats.spearmanr(answer[:, 0], labels).statistic)
    with pytest.raises(UsageError, match="one number per example"):
        value("pearson", np.zeros((30, 2), np.float32), labels)


def scene(seed: int, images: int = 8) -> tuple[dict[str, Array], Array]:
    """Boxes, some found nearly, some missed, some made up, with scores of which some are equal."""
    rng = np.random.default_rng(seed)
    labels, boxes = np.full((images, 6, 5), -1.0), np.zeros((images, 12, 4))
    scores, classes = np.zeros((images, 12)), np.zeros((images, 12), np.int64)
    for i in range(images):
        count = int(rng.integers(0, 7))
        low = rng.integers(0, 60, (count, 2))
        labels[i, :count, :4] = np.concatenate([low, low + rng.integers(4, 40, (count, 2))], axis=1)
        labels[i, :count, 4] = rng.integers(0, 3, count)
        for k in range(rng.integers(0, 13)):
            pick = int(rng.integers(0, max(count, 1)))
            near = count and rng.random() < 0.7
            boxes[i, k] = labels[i, pick, :4] + rng.normal(0, 2, 4) if near else [5, 5, 9 + k, 30]
            boxes[i, k, 2:] = np.maximum(boxes[i, k, 2:], boxes[i, k, :2] + 1)
            classes[i, k] = labels[i, pick, 4] if near and rng.random() < 0.9 else rng.integers(0, 4)
            scores[i, k] = rng.integers(1, 20) / 20
    return {"det_boxes": boxes, "det_scores": scores, "det_classes": classes}, labels


def coco(outputs: dict[str, Array], labels: Array) -> tuple[float, float]:
    """AP@[.5:.95] and AP50 by COCO's own code."""

    def box(corners: Array) -> list[float]:
        return [*corners[:2].tolist(), *(corners[2:] - corners[:2]).tolist()]

    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for i, rows in enumerate(labels):
        for row in rows[rows[:, 4] >= 0]:
            b = box(row[:4])
            truth.append({"id": len(truth) + 1, "image_id": i, "category_id": int(row[4]), "bbox": b, "area": b[2] * b[3], "iscrowd": 0})
        for b4, score, name in zip(*(outputs[k][i] for k in ("det_boxes", "det_scores", "det_classes")), strict=True):
            if score > 0:
                found.append({"image_id": i, "category_id": int(name), "bbox": box(b4), "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        truths = COCO()
        truths.dataset = {
            "images": [{"id": i} for i in range(len(labels))],
            "categories": [{"id": i} for i in range(4)],
            "annotations": truth,
        }
        truths.createIndex()
        judged = COCOeval(truths, truths.loadRes(found), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return float(judged.stats[0]), float(judged.stats[1])


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_is_cocos(seed: int) -> None:
    outputs, labels = scene(seed)
    ap, ap50 = coco(outputs, labels)
    assert value("mean_average_precision", outputs, labels) == pytest.approx(ap, abs=1e-9)
    assert value("mean_average_precision_50", outputs, labels) == pytest.approx(ap50, abs=1e-9)
    joined = np.concatenate([outputs["det_boxes"], outputs["det_scores"][..., None], outputs["det_classes"][..., None]], axis=2)
    assert value("mean_average_precision", {"rows": joined}, labels) == pytest.approx(ap, abs=1e-9)


def test_average_precision_of_scores_for_every_class() -> None:
    outputs, labels = scene(1)
    each = np.zeros((*outputs["det_scores"].shape, 4))
    np.put_along_axis(each, outputs["det_classes"][..., None], outputs["det_scores"][..., None], axis=2)
    found = value("mean_average_precision", {"boxes": outputs["det_boxes"], "scores": each}, labels)
    assert found == pytest.approx(coco(outputs, labels)[0], abs=1e-9)


def test_one_box_by_hand() -> None:
    """One truth found with an IoU of 2/3: right at .50, .55, .60 and .65, so 4 of 10 thresholds; a wrong one before it halves precision."""
    labels = np.array([[[0, 0, 10, 10, 0]], [[0, 0, 0, 0, -1]]], float)
    rows = np.array([[[0, 0, 10, 15, 0.5, 0]], [[0, 0, 0, 0, 0, -1]]], float)
    assert value("mean_average_precision", {"y": rows}, labels) == pytest.approx(0.4)
    rows[1, 0] = [1, 1, 2, 2, 0.9, 0]
    assert value("mean_average_precision", {"y": rows}, labels) == pytest.approx(0.2)
    assert value("mean_average_precision_50", {"y": rows}, labels) == pytest.approx(0.5)


def test_outputs_that_are_no_detections_are_refused() -> None:
    labels = np.zeros((2, 1, 5))
    with pytest.raises(UsageError, match="does not find boxes, scores and classes in raw"):
        value("mean_average_precision", {"raw": np.zeros((2, 84, 8400), np.float32)}, labels)
    with pytest.raises(DataError, match=r"got labels \[1\]"):
        value("mean_average_precision", {"y": np.zeros((2, 3, 6))}, np.zeros(2))


def test_words_with_parameters() -> None:
    scores = np.array([[0.1, 0.5, 0.2, 0.9], [0.4, 0.3, 0.2, 0.1]])
    assert find_metric("top3").score({"y": scores}, np.array([2, 3])).tolist() == [1, 0]
    assert find_metric("top3").name == "top3"
    assert find_metric("exact_match_ctc_last").name == "exact_match_ctc_last"
    for wrong in ("top0", "topk", "top1_ctc", "exact_match_ctc_first"):
        with pytest.raises(UsageError, match="any topK; _ctc behind"):
            find_metric(wrong)
