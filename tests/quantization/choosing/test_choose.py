"""The whole choice on small models: the winner, every reason for none, and the same bytes each time. Only the stopwatch is replaced."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from optkit.datasets import Examples
from optkit.errors import DataError, NothingPaid
from optkit.formats.onnx import load_model
from optkit.quantization.choosing.choose import Choice, choose
from optkit.quantization.choosing.hopeless import refuse_hopeless
from optkit.quantization.choosing.remarks import of_simplifying
from optkit.quantization.fidelity.reference import Fidelity
from optkit.quantization.graphs import all_graphs
from optkit.quantization.variants import trial as trials
from optkit.quantization.variants.build import build
from optkit.quantization.variants.candidates import STORED
from optkit.quantization.variants.known_weights import KnownWeights
from optkit.quantization.variants.learned import Learned
from optkit.quantization.variants.treatment import Treatment, Way, count_ways
from optkit.quantization.variants.trial import Bench, Trial
from optkit.quantization.variants.wishes import Setting, Wishes
from optkit.stats.interval import Interval

from ..tiny import answers, draw, examples, fused, proto_of, read

CNN = """(float[N,8,10,10] x) => (float[N,5] y) {
    c = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(c) d = Conv<pads=[1,1,1,1]>(r, v) s = Add(d, r)
    p = GlobalAveragePool(s) f = Flatten(p) m = MatMul(f, k) y = Softmax(m) }"""
IMAGES = draw(40, 8, 10, 10, seed=9)
FAST, EVEN = 0.5, 1.0

Times = Mapping[str, float]


def cnn(opset: int = 17) -> onnx.ModelProto:
    return proto_of(CNN, opset, w=draw(16, 8, 3, 3) / 8, b=draw(16), v=draw(16, 16, 3, 3, seed=1) / 12, k=draw(16, 5))


@dataclass
class Choosing:
    """Choose for a model in a folder."""

    folder: Path

    def __call__(self, model: onnx.ModelProto, given: Examples | None = None, target: str = "chosen.onnx", **wishes: Any) -> Choice:
        path = self.folder / "original.onnx"
        if not path.exists():
            onnx.save(model, path)
        data = given if given is not None else examples(x=IMAGES)
        calibration = None if data.synthetic else data
        return choose(
            path, load_model(path), calibration, data.spread(8), Wishes(**{"ranges": "min_max", **wishes}), Setting(), self.folder / target
        )

    def refused(self, model: onnx.ModelProto, given: Examples | None = None, left: Sequence[str] = (), **wishes: Any) -> str:
        with pytest.raises((NothingPaid, DataError)) as caught:
            self(model, given, **wishes)
        assert caught.value.hint
        assert sorted(file.name for file in self.folder.iterdir()) == sorted([*left, "original.onnx"])
        return caught.value.what

    def made(self, target: str = "chosen.onnx") -> ir.Model:
        return load_model(self.folder / target)


@pytest.fixture
def choosing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Choosing:
    take(monkeypatch, {})
    return Choosing(tmp_path)


def take(monkeypatch: pytest.MonkeyPatch, times: Times) -> None:
    """Variants take `times` of the original's, by name; others half where they compute in integers, else as long."""

    def time(bench: Bench, given: Sequence[Trial], seconds: float) -> list[Trial]:
        ratios = [times.get(t.treatment.name, times.get("*", FAST if t.treatment.ways else EVEN)) for t in given]
        return [replace(t, ratio=Interval(r, r - 0.01, r + 0.01)) for t, r in zip(given, ratios, strict=True)]

    monkeypatch.setattr(Bench, "time", time)
    monkeypatch.setattr("optkit.quantization.choosing.compete.node_times", lambda *_: {})


@pytest.mark.slow
@pytest.mark.parametrize("winner", ["static, whole regions", "static", "dynamic", "static, dynamic matrix products"])
def test_the_fastest_wins(choosing: Choosing, monkeypatch: pytest.MonkeyPatch, winner: str, tmp_path: Path) -> None:
    take(monkeypatch, {winner: 0.4, "*": 0.8})
    choice = choosing(cnn())
    assert choice.best.treatment.name == winner
    assert choice.best.ratio is not None
    assert choice.best.ratio.value == 0.4
    assert {t.treatment.name for t in choice.trials} >= {"static, whole regions", "static", "dynamic", "8-bit weights, float compute"}
    assert choice.calibrated_on == 40
    assert choice.failures == {}
    assert sorted(f.name for f in tmp_path.iterdir()) == ["chosen.onnx", "original.onnx"]
    counts = fused(choosing.made(), tmp_path)
    assert (counts["QLinearConv"] == 2) == ("static" in winner)
    exact, found = (answers(load_model(tmp_path / n), {"x": IMAGES})["y"] for n in ("original.onnx", "chosen.onnx"))
    assert np.mean(exact.argmax(1) == found.argmax(1)) >= 0.9


@pytest.mark.slow
def test_two_runs_give_the_same_bytes(choosing: Choosing, tmp_path: Path) -> None:
    for name in ("one.onnx", "two.onnx"):
        choosing(cnn(), target=name, ranges="mse")
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_operators_are_counted_by_way(choosing: Choosing, monkeypatch: pytest.MonkeyPatch) -> None:
    take(monkeypatch, {"static": 0.4})
    assert choosing(cnn(), exclude=("d",)).operators == {
        "Conv": {"static": 1, "float": 1},
        "MatMul": {"static, float output": 1},
    }


def test_an_old_opset_is_raised_and_said(choosing: Choosing) -> None:
    choice = choosing(cnn(11), method="weights")
    assert choice.remarks == ("converted from opset 11 to 13",)
    assert choosing.made().opset_imports[""] == 13


def test_weights_in_another_file_are_counted_and_brought_in(choosing: Choosing, tmp_path: Path) -> None:
    model, path = cnn(), tmp_path / "original.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    small = path.stat().st_size
    choice = choosing(model, method="static")
    assert choice.best.size > small  # smaller only next to graph and weights together
    (tmp_path / "weights.bin").unlink()
    assert answers(choosing.made(), {"x": IMAGES})["y"].shape == (40, 5)


def test_without_examples_what_needs_none_is_tried(choosing: Choosing) -> None:
    made_up = replace(examples(x=IMAGES), synthetic=True)
    choice = choosing(cnn(), made_up)
    assert {t.treatment.name for t in choice.trials} == {"dynamic", "8-bit weights, float compute"}
    assert choice.calibrated_on == 0


def tree_ensemble() -> onnx.ModelProto:
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[0, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_values=[0.5, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        target_treeids=[0, 0],
        target_nodeids=[1, 2],
        target_ids=[0, 0],
        target_weights=[1.0, 2.0],
    )
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name, size in (("x", 3), ("y", 1))]
    graph = helper.make_graph([node], "trees", ports[:1], ports[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=8)


def test_trees_have_nothing_to_quantize(choosing: Choosing) -> None:
    what = choosing.refused(tree_ensemble(), examples(x=draw(4, 3)))
    assert what == "there is nothing to quantize: no operator has float weights (TreeEnsembleRegressor)"


def test_a_model_without_weights_has_nothing_to_quantize(choosing: Choosing) -> None:
    model = proto_of("(float[N,3] x) => (float[N,3] y) { a = Abs(x) b = Neg(a) c = Sin(b) d = Cos(c) e = Exp(d) y = Tanh(e) }")
    what = choosing.refused(model, examples(x=draw(4, 3)))
    assert what == "there is nothing to quantize: no operator has float weights (Abs, Cos, Exp, Neg, Sin, …)"


def test_a_model_that_is_quantized_already_is_left_alone(choosing: Choosing, tmp_path: Path) -> None:
    choosing(cnn(), method="static")
    (tmp_path / "chosen.onnx").replace(tmp_path / "original.onnx")
    assert choosing.refused(cnn()).startswith("it is quantized already: it has DequantizeLinear")


def test_stored_integers_are_recognised_too(choosing: Choosing, tmp_path: Path) -> None:
    choosing(cnn(), method="weights")
    (tmp_path / "chosen.onnx").replace(tmp_path / "original.onnx")
    assert choosing.refused(cnn()).startswith("its weights are 8-bit integers already")


def test_half_precision_is_computed_in_float32_first(choosing: Choosing) -> None:
    half = draw(64, 64).astype(np.float16)
    model = proto_of("(float16[N,64] x) => (float16[N,64] y) { h = MatMul(x, w) t = Tanh(h) z = MatMul(t, w) y = Softmax(z) }", w=half / 8)
    given = examples(x=draw(40, 64, seed=1).astype(np.float16))
    choice = choosing(model, given, method="dynamic")
    made = choosing.made()
    assert choice.widened
    assert choice.remarks[0] == "its half precision was turned into float32 first, but for inputs and outputs"
    assert choice.operators == {"MatMul": {"dynamic": 2}}
    assert [v.dtype for v in (*made.graph.inputs, *made.graph.outputs)] == [ir.DataType.FLOAT16] * 2
    x = {"x": given.arrays["x"]}
    truth, got = (np.log(a.astype(np.float64)) for a in (answers(ir.from_proto(model), x)["y"], answers(made, x)["y"]))
    assert np.abs(truth - got).max() < 0.3


def test_half_precision_whose_weights_are_few_is_told_so(choosing: Choosing) -> None:
    model = proto_of("(float16[N,4] x) => (float16[N,4] y) { y = MatMul(x, w) }", w=draw(4, 4).astype(np.float16))
    what = choosing.refused(model, examples(x=draw(4, 4).astype(np.float16)))
    assert what == "its weights are too small to be worth it: the largest has 16 elements"


def test_what_is_slower_is_not_handed_over_unless_asked_for(choosing: Choosing, monkeypatch: pytest.MonkeyPatch) -> None:
    take(monkeypatch, {"*": 1.3, "dynamic": 1.2})
    assert "the best variant (dynamic) takes 1.20× the time of the original" in choosing.refused(cnn(), method="dynamic")
    choice = choosing(cnn(), method="dynamic", accept_size_only=True)
    assert choice.best.size == min(t.size for t in choice.trials)


def test_what_seems_just_too_slow_is_timed_alone_before_it_is_refused(choosing: Choosing, monkeypatch: pytest.MonkeyPatch) -> None:
    take(monkeypatch, {"*": 1.1})
    together = Bench.time

    def alone_even(bench: Bench, given: Sequence[Trial], seconds: float) -> list[Trial]:
        return together(bench, given, seconds) if len(given) > 1 else [replace(t, ratio=Interval(1.0, 0.99, 1.01)) for t in given]

    monkeypatch.setattr(Bench, "time", alone_even)
    assert choosing(cnn()).best.ratio == Interval(1.0, 0.99, 1.01)
    take(monkeypatch, {"*": 1.1})
    assert "does not pay here" in choosing.refused(cnn(), left=["chosen.onnx"])


def test_what_loses_too_much_is_not_handed_over(choosing: Choosing) -> None:
    what = choosing.refused(cnn(), method="dynamic", floor=110.0)
    assert what.startswith("INT8 loses too much here, even the most faithful variant (")
    assert what.endswith(" dB, 110 are asked for")


@pytest.mark.slow
def test_where_integers_do_not_pay_storage_is_what_is_left(choosing: Choosing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    take(monkeypatch, {"*": 1.5, "8-bit weights, float compute": 1.0})
    choice = choosing(cnn())
    assert choice.best.treatment.name == "8-bit weights, float compute"
    assert choice.operators == {"Conv": {"float": 2}, "MatMul": {"float": 1}}
    assert (tmp_path / "chosen.onnx").stat().st_size < 0.5 * (tmp_path / "original.onnx").stat().st_size


def spoil(monkeypatch: pytest.MonkeyPatch, which: Callable[[Treatment], bool]) -> None:
    """ONNX Runtime refuses some variants."""

    def make(model: ir.Model, treatment: Treatment, learned: Learned, known: KnownWeights | None) -> ir.Model:
        made = build(model, treatment, learned, known)
        if which(treatment):
            made.graph[0].op_type = "NoSuchOperator"
        return made

    monkeypatch.setattr(trials, "build", make)


def test_a_variant_that_is_refused_is_passed_over_with_its_reason(choosing: Choosing, monkeypatch: pytest.MonkeyPatch) -> None:
    take(monkeypatch, {"static, whole regions": 0.1})
    spoil(monkeypatch, lambda treatment: treatment.name == "static, whole regions")
    choice = choosing(cnn())
    assert choice.best.treatment.name != "static, whole regions"
    assert list(choice.failures) == ["static, whole regions"]
    assert "NoSuchOperator" in choice.failures["static, whole regions"]


def test_when_all_variants_are_refused_each_reason_is_told(choosing: Choosing, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, lambda _: True)
    what = choosing.refused(cnn(), method="dynamic")
    assert what.startswith("no INT8 variant is smaller than the original (dynamic: ONNX Runtime cannot load it: ")
    assert "NoSuchOperator" in what


def test_what_is_not_smaller_is_not_handed_over(choosing: Choosing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "model_size", lambda path: 1000)
    assert choosing.refused(cnn(), method="weights") == "no INT8 variant is smaller than the original"


@pytest.mark.parametrize(
    ("method", "calibrated", "error", "says"),
    [
        ("static", False, DataError, "static INT8 needs examples to find activation ranges"),
        ("dynamic", True, NothingPaid, "method dynamic finds nothing to quantize in this model"),
    ],
)
def test_a_method_that_finds_nothing(choosing: Choosing, method: str, calibrated: bool, error: type[Exception], says: str) -> None:
    model = proto_of("(float[N,16,10,10] x) => (float[N,16,8,8] y) { y = Conv(x, w) }", w=draw(16, 16, 3, 3))
    given = replace(examples(x=draw(8, 16, 10, 10)), synthetic=not calibrated)
    assert choosing.refused(model, given, method=method) == says


def test_values_that_are_not_finite_in_the_middle_are_told_with_their_place(choosing: Choosing) -> None:
    model = proto_of(
        "(float[N,8,10,10] x) => (float[N,128,10,10] y) { l = Log(x) c = Conv(l, w) y = Clip(c, low, high) }",
        w=np.abs(draw(128, 8, 1, 1)) + 0.1,
        low=-5.0,
        high=5.0,
    )
    images = np.abs(IMAGES)
    images[1, 0, 0, 0] = 0  # its logarithm is clipped at the output, where nobody sees it
    assert "not finite (l)" in choosing.refused(model, examples(x=images), method="static")


@pytest.mark.slow
def test_the_limit_of_a_users_own_score_decides(choosing: Choosing) -> None:
    choice = choosing(cnn(), method="dynamic", max_drop=0.01, drop_of=lambda session: 0.005, floor=110.0)
    assert choice.best.drop == 0.005
    (choosing.folder / "chosen.onnx").unlink()
    with pytest.raises(NothingPaid) as caught:
        choosing(cnn(), method="dynamic", max_drop=0.01, drop_of=lambda session: 0.02)
    what, kept = caught.value.what, caught.value.kept
    assert kept is not None
    assert answers(load_model(kept), {"x": IMAGES})["y"].shape == (40, 5)
    assert "loses 2.00% of the original's score, 1.00% is allowed" in what


def test_weights_in_branches_are_enough_to_go_on() -> None:
    model = read(
        """(bool k, float[4,40] x) => (float[4,40] y) {
            y = If (k) < then_branch = t () => (float[4,40] p) { p = MatMul(x, w) },
                         else_branch = e () => (float[4,40] q) { q = Abs(x) } > }""",
        w=draw(40, 40),
    )
    (branch, *_) = model.graph.subgraphs()
    node = ir.node("Constant", [], {"value": model.graph.initializers["w"].const_value})
    branch.insert_before(branch[0], node)
    branch[1].replace_input_with(1, node.outputs[0])
    del model.graph.initializers["w"]
    refuse_hopeless(model)
    assert sum(len(g) for g in all_graphs(model)) == 4


def test_counts_of_a_treatment_are_of_what_computes() -> None:
    model = read("(float[N,40] x) => (float[N,40] y) { a = MatMul(x, w) r = Relu(a) y = MatMul(r, w) }", w=draw(40, 40))
    assert count_ways(model, Treatment("one", {"a": Way.DYNAMIC})) == {"MatMul": {"dynamic": 1, "float": 1}}
    assert count_ways(model, Treatment("stored")) == {"MatMul": {"float": 2}}


@pytest.mark.parametrize(
    ("best", "plain", "says"),
    [(0.5, 0.7, "most of the speed"), (0.5, 0.8, ""), (0.9, 0.99, ""), (0.7, None, "all of the speed")],
)
def test_speed_that_comes_from_simplifying_is_not_credited_to_integers(best: float, plain: float | None, says: str) -> None:
    def timed(treatment: Treatment, time: float) -> Trial:
        return Trial(treatment, Path(treatment.name), 1, Fidelity(40, 1.0), True, None, Interval(time, time, time))

    stored = timed(STORED, best if plain is None else plain)
    winner = stored if plain is None else timed(Treatment("static", {"c": Way.STATIC}), best)
    said = " ".join(of_simplifying(winner, [winner, stored]))
    assert (says in said) if says else not said
    wide = " ".join(of_simplifying(winner, [winner, stored], widened=True))
    assert (f"{says} comes from computing in float32, not float16," in wide) if says else not wide


@pytest.mark.parametrize(("seconds", "winner"), [(4e-6, "dynamic, one scale for small weights"), (4e-3, "dynamic")])
def test_small_dynamic_products_are_tried_with_one_scale(
    choosing: Choosing, monkeypatch: pytest.MonkeyPatch, seconds: float, winner: str
) -> None:
    model = proto_of("(float[N,40] x) => (float[N,32] y) { a = MatMul(x, w) b = Relu(a) y = MatMul(b, v) }", w=draw(40, 48), v=draw(48, 32))
    take(monkeypatch, {"dynamic": 0.9, "dynamic, smoothed": 0.95, "dynamic, one scale for small weights": 0.8, "*": 1.2})
    times = dict.fromkeys(("a_int32_MatMulInteger", "b"), seconds)
    monkeypatch.setattr("optkit.quantization.choosing.compete.node_times", lambda *_: times)
    choice = choosing(model, examples(x=draw(60, 40, seed=5)))
    assert choice.best.treatment.name == winner
    assert choice.best.treatment.single == ({"a"} if "one scale" in winner else set())
