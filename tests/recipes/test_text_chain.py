"""The text chain in small: its own two recipes, with narrow networks and the questions that the repository holds as text."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from optkit import records
from optkit.api import run
from optkit.formats.torch import load_torch
from optkit.formats.torch_origin import trusting
from optkit.recipe import read_recipe
from optkit.recipe.ready import folder
from optkit.report import Report
from optkit.runtimes import open_session

torch = pytest.importorskip("torch")
pytest.importorskip("tokenizers")

QUESTIONS = folder().parent / "sample_models" / "trec_transformer" / "questions.csv"
WORDS = len(json.loads((QUESTIONS.parent / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"])
FACTORY = "sample_models.trec_minilm.network:MiniLm"
NETWORK = f"{{width: 24, heads: 2, words: {WORDS}, places: 64"


def smaller(output: Path, *more: str) -> list[str]:
    """Learns from 800 of the questions, and is compared on the 200 others."""
    return [
        f"data.training={QUESTIONS}[:800]",
        f"data.evaluation={QUESTIONS}[800:]",
        f"model.factory={FACTORY}",
        f"model.arguments={NETWORK}, layers: 6}}",
        "measure.time=1s",
        f"output={output}",
        *more,
    ]


@pytest.mark.parametrize("name", ["text_teacher", "text_chain"])
def test_the_recipes_can_be_read(name: str) -> None:
    recipe = read_recipe(folder() / f"{name}.yaml")
    assert recipe.torch is not None
    assert recipe.torch.outputs == ("logits",)


def test_two_bits_hold_what_they_can_and_the_nearest_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder().parent))
    from sample_models.trec_minilm.network import TwoBits

    torch.manual_seed(0)
    exact = (torch.randint(0, 4, (5, 8)) - 1.5) * torch.tensor([[0.3], [2.0], [1e-3], [1.0], [0.0]])
    noise = torch.randn(1000, 64)
    rows: Any = TwoBits(5, 8)
    one: Any = TwoBits(1000, 64, one_scale=True)
    with torch.no_grad():
        rows.hold(exact)
        one.hold(noise)
    assert torch.allclose(rows(torch.arange(5)), exact, rtol=0.06, atol=0), "within half a step between scales, and order kept"
    assert rows(torch.tensor([[3, 3], [0, 4]])).shape == (2, 2, 8)
    # a uniform quantizer with four levels loses 0.1188 of a normal variable's variance (Max, 1960)
    assert float((one(torch.arange(1000)) - noise).square().mean()) == pytest.approx(0.1188, abs=0.003)
    assert sum(each.numel() * each.element_size() for each in one.state_dict().values()) == 1000 * 64 // 4 + 4


def test_a_small_table_is_near_for_frequent_words_and_the_nearer_for_others_the_higher_its_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder().parent))
    from sample_models.trec_minilm.network import SmallTable

    torch.manual_seed(0)
    table = torch.nn.Embedding(500, 16)
    ids = np.array([[7, 3, 3, 9], [7, 7, 9, 0]])
    examples = {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int64)}
    words, off = torch.arange(500), {}
    for rank in (4, 8, 16):
        small: Any = SmallTable(500, 16, rank, 3)
        with torch.no_grad():
            small.start_from(table, examples)
            apart = (small(words) - table(words)).square().sum(1)
        assert small.place.nonzero().flatten().tolist() == [3, 7, 9]
        off[rank] = float(apart.mean())
        assert float(apart[[3, 7, 9]].mean()) < 0.3 * off[rank]
    assert off[4] > 1.2 * off[8] > 1.4 * off[16]


def test_fewer_places_start_as_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder().parent))
    from sample_models.trec_minilm.network import Places

    many, few = torch.nn.Embedding(9, 4), Places(5, 4)
    with torch.no_grad():
        few.start_from(many, {})  # type: ignore[no-untyped-call]
    assert torch.equal(few.weight, many.weight[:5])


def test_a_layer_starts_from_a_wider_one_by_the_units_with_the_largest_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder().parent))
    from sample_models.trec_minilm.network import Layer

    torch.manual_seed(0)
    wide, narrow = Layer(8, 2, 12).eval(), Layer(8, 2, 5).eval()
    with torch.no_grad():
        wide.narrow.weight[:, [0, 2, 3, 7, 8, 9, 10]] = 0
        narrow.start_from(wide, {})
        x, hidden = torch.randn(2, 3, 8), torch.zeros(2, 1, 1, 3)
        assert torch.allclose(narrow(x, hidden), wide(x, hidden), atol=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("no_cold_starts")
def test_a_teacher_is_trained_on_text_and_ends_as_a_small_int8_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder().parent))
    teacher = tmp_path / "teacher"
    brief = ["passes.0.finetune.training_threads=1", "passes.0.finetune.epochs=10", "passes.0.finetune.learning_rate=0.003"]
    first = run(folder() / "text_teacher.yaml", changes=smaller(teacher, *brief), cache=False)
    top1 = {delta.metric: delta for delta in first.report.comparisons[0].deltas}["top1"]
    assert top1.after > 0.35, "the most frequent class alone gives 0.23"

    out = tmp_path / "out"
    shorter = [
        f"model.weights={teacher / 'MiniLm.safetensors'}",
        f"data.calibration={QUESTIONS}[:64]",
        f"passes.0.distill.student.arguments={NETWORK}, layers: 4, units: 48, rank: 8, frequent: 300}}",
        "passes.0.distill.training_threads=1",
        "passes.0.distill.epochs=6",
        "passes.0.distill.learning_rate=0.001",
        "passes.3.quantize.accept_size_only=true",
        "measure.compile=false",
        "gate={max_size: 60%}",
    ]
    recipe, whole = tmp_path / "text_chain.yaml", (folder() / "text_chain.yaml").read_text(encoding="utf-8")
    # no channels of so small a network stand out, which that pass refuses
    recipe.write_text(whole.replace("  - smooth_activations\n", ""), encoding="utf-8")
    made = run(recipe, changes=smaller(out, *shorter), cache=False)
    assert [step.by for step in made.model.lineage] == ["distill", "export_onnx", "fuse_transformer", "quantize"]
    assert made.report.verdict is not None
    assert made.report.verdict.outcome == "passed"
    deltas = {delta.metric: delta for delta in made.report.comparisons[0].deltas}
    assert deltas["top1"].before == pytest.approx(top1.after), "the table begins with the torch teacher"
    assert deltas["top1"].gain > -0.3, "the student is more than noise"
    assert records.read_record(Report, (out / "report.json").read_text(encoding="utf-8")).verdict == made.report.verdict
    operators = {node.op_type for node in onnx.load(made.model.path).graph.node}
    assert operators & {"MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "DynamicQuantizeLinear", "QAttention"}
    with trusting(FACTORY, folder=str(folder().parent)):
        assert len(load_torch(teacher / "MiniLm.safetensors").module.layers) == 6
    session = open_session(made.model.path)
    for batch, length in ((1, 7), (5, 33)):
        feed = {name: np.ones((batch, length), np.int64) for name in ("input_ids", "attention_mask")}
        assert session.run(feed)["logits"].shape == (batch, 6)
