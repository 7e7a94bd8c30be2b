import contextlib
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.errors import RecipeError, UsageError
from optkit.gate import Limits
from optkit.measure import Settings
from optkit.recipe import Data, Recipe, read_recipe
from optkit.recipe.reading import recipe_from

WHOLE = """\
model: m.onnx
data:
  calibration: c.npz[:64]
  evaluation: "mine.data:evaluation[:64]"
passes:
  - shrink
  - shrink:
  - shrink:
      ratio: 0.25
      skip: [a, b]
measure:
  devices: [cpu, openvino]
  batches: 8
  threads: 2
  time: 250ms
  metrics: top1
  output: logits
gate:
  max_drop: 1%
  min_speedup: 1.5
  max_size: 0.5
  min_agreement: 99%
  strict: true
seed: 3
output: out
"""


def problems(text: str, *overrides: str) -> list[tuple[str, str, str]]:
    with pytest.raises(RecipeError) as caught:
        recipe_from(text, "r.yaml", overrides=overrides)
    return [(problem.where, problem.what, problem.hint or "") for problem in caught.value.problems]


def test_every_key_reaches_its_place(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(WHOLE, encoding="utf-8")
    recipe = read_recipe(file)
    assert recipe.model == tmp_path / "m.onnx"
    assert recipe.data == Data(calibration=str(tmp_path / "c.npz[:64]"), evaluation="mine.data:evaluation[:64]")
    assert recipe.measure == Settings(("cpu", "openvino"), (8,), (2,), 0.25, ("top1",), "logits")
    assert recipe.gate == Limits(max_drop=0.01, min_speedup=1.5, max_size=0.5, min_agreement=0.99, strict=True)
    assert (recipe.seed, recipe.output) == (3, tmp_path / "out")
    assert [step.pass_.model_dump(exclude_defaults=True) for step in recipe.steps] == [{}, {}, {"ratio": 0.25, "skip": ("a", "b")}]
    assert [step.where for step in recipe.steps] == [f"{file}:{line}" for line in (6, 7, 8)]
    assert recipe.where("gate.max_drop") == f"{file}:19"
    assert recipe.where("data.training") == f"{file}:2", "what is not there stands where it would"


def test_a_gate_may_limit_fall_backs_alone() -> None:
    recipe = recipe_from("model: m.onnx\npasses: [shrink]\ngate: {max_fallback_nodes: 0}\n")
    assert recipe.gate == Limits(max_fallback_nodes=0)


def test_the_least_that_a_recipe_needs() -> None:
    recipe = recipe_from("model: m.onnx\npasses: [shrink]\ngate:\n")
    assert (recipe.data, recipe.measure, recipe.gate, recipe.seed) == (Data(), Settings(), None, 0)


@pytest.mark.parametrize(
    ("given", "data"),
    [("d.npz", Data(whole="in/d.npz")), ("synthetic", Data(synthetic=True)), ("pack.mod:make", Data(whole="pack.mod:make"))],
)
def test_one_source_for_all(given: str, data: Data) -> None:
    assert recipe_from(f"model: m\npasses: [shrink]\ndata: {given}", folder=Path("in")).data == data


@pytest.mark.parametrize(
    ("text", "line", "what", "hint"),
    [
        ("modle: x", 1, "the recipe has no key 'modle'", "did you mean 'model'? known: data, gate, measure,"),
        ("data: {calibrations: x}", 1, "data has no key 'calibrations'", "did you mean 'calibration'?"),
        ("data: 3", 1, "data: expected keys and values, not 3", "one source for everything"),
        ("\nseed: -1", 2, "seed: it must be greater than or equal to 0, not -1", ""),
        ("seed: yes", 1, "seed: expected a whole number, not 'yes'", "Where randomness starts"),
        ("seed: true", 1, "seed: expected a whole number, not True", ""),
        ("measure:\n  time: soon", 2, "measure.time: 'soon' is not a time such as 10s or 50ms", "such as 10s"),
        ("measure:\n  batches:\n    - 1\n    - 0", 4, "measure.batches.1: it must be greater than or equal to 1, not 0", ""),
        ("measure:\n  batches: []", 2, "measure.batches: it is empty", ""),
        ("measure:\n  threads: '2'", 2, "measure.threads: expected a whole number, not '2'", ""),
        ("measure:\n  metrics: [top1, topp1]", 2, "no metric is called 'topp1'", "did you mean 'top1'?"),
        ("gate: {max_drop: 150%}", 1, "gate.max_drop: it must be less than or equal to 1, not '150%'", ""),
        ("\ngate: {strict: true}", 2, "gate: it limits nothing", ""),
        ("gate: {max_fallback_nodes: -1}", 1, "gate.max_fallback_nodes: it must be greater than or equal to 0", ""),
        ("gate: {strict: 1}", 1, "gate.strict: expected true or false, not 1", ""),
        ("gate: 1%", 1, "gate: expected keys and values, not '1%'", ""),
        ("seed: 1\nseed: 2", 2, "'seed' stands here twice", "it is first at r.yaml:1"),
        ("output: [a", 1, "this is not valid YAML: expected ',' or ']'", ""),
        ("output: a: b", 1, "this is not valid YAML: mapping values are not allowed here", "quotes"),
        ("\toutput: a", 1, "this is not valid YAML", "indent with spaces"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, line: int, what: str, hint: str) -> None:
    [first, *more] = problems(f"{text}\nmodel: m\npasses: [shrink]\n")
    assert not more
    assert first[0] == f"r.yaml:{line}"
    assert first[1].startswith(what)
    assert hint in first[2]


@pytest.mark.parametrize(
    ("passes", "line", "what", "hint"),
    [
        ("[]", 2, "passes: it is empty", ""),
        ("shrink", 2, "passes: expected a list, not 'shrink'", ""),
        ("\n- shrnk", 3, "no pass is called 'shrnk'", "did you mean 'shrink'?"),
        ("\n- 3", 3, "expected the name of a pass, not 3", "shrink"),
        ("\n- shrink: 3", 3, "shrink: expected parameters, not 3", "`optkit passes shrink` shows them"),
        (
            "\n- shrink:\n    ration: 1",
            4,
            "pass shrink has no parameter 'ration'",
            "did you mean 'ratio'? known: inner, limit, method, ratio",
        ),
        ("\n- shrink:\n    ratio: 1", 4, "ratio: it must be less than 1, not 1", "How much smaller."),
        ("\n- shrink:\n    method: stattic", 4, "method: 'stattic' is not allowed", "did you mean 'static'? known: auto, static"),
        ("\n- shrink:\n    inner:\n      deep: 1", 5, "inner has no parameter 'deep'", "known: depth"),
        ("\n- shrink:\n    inner:\n      depth: a", 5, "inner.depth: expected a whole number, not 'a'", "How deep."),
        ("\n- shrink:\n    skip:\n      - a\n      - 4", 6, "skip.1: expected text, not 4", "Nodes to leave alone"),
        ("\n- shrink:\n  ratio: 0.2", 3, "'ratio' stands beside 'shrink', not inside it", "indent the parameters of shrink"),
        ("\n- {shrink: {}, melt: {}}", 3, "one step names 2 passes: shrink, melt", "a dash of its own"),
    ],
)
def test_a_mistake_in_a_step_is_told_with_its_line(passes: str, line: int, what: str, hint: str) -> None:
    [first, *more] = problems(f"model: m\npasses: {passes}\n")
    assert not more
    assert first[0] == f"r.yaml:{line}"
    assert first[1].startswith(what)
    assert hint in first[2]


@pytest.mark.parametrize(
    ("text", "what"), [("", "it is empty"), ("- a", "it is no list of keys and values"), ("a\0b", "this is not YAML text")]
)
def test_what_is_no_recipe_is_said(text: str, what: str) -> None:
    [(where, said, _)] = problems(text)
    assert (where, said[: len(what)]) == ("r.yaml:1", what)


def test_all_mistakes_are_found_in_one_reading_in_the_order_of_their_lines() -> None:
    found = problems("seed: a\nseed: 1\npasses:\n- nope\n- shrink: {ratio: 2, x: 1}\nmeasure: {time: soon, metrics: nope}\nmodle: m\n")
    assert [where for where, _, _ in found] == [f"r.yaml:{line}" for line in (1, 1, 2, 4, 5, 5, 6, 6, 7)]


@pytest.mark.slow
@settings(max_examples=50)
@given(st.sets(st.integers(0, len(WHOLE.splitlines()) - 1), max_size=5), st.integers())
def test_unknown_keys_are_found_wherever_they_stand(at: set[int], seed: int) -> None:
    lines = WHOLE.splitlines()
    expected = []
    chance = random.Random(seed)
    for i in sorted(at, reverse=True):
        if lines[i].strip().startswith("-"):
            continue
        indent = len(lines[i]) - len(lines[i].lstrip())
        lines.insert(i, " " * indent + f"unknown{chance.randrange(10**6)}_{i}: 1")
    expected = [f"r.yaml:{i + 1}" for i, line in enumerate(lines) if line.strip().startswith("unknown")]
    if expected:
        assert [where for where, _, _ in problems("\n".join(lines))] == expected
    else:
        assert isinstance(recipe_from(WHOLE), Recipe)


YAML_TEXT = st.recursive(
    st.sampled_from(
        ["1", "a", "null", "true", "1%", "0.5", "shrink", "'x'", "&a b", "*a", ".nan", "-1", "2020-01-01", "!!python/x 1", "~"]
    ),
    lambda inside: st.one_of(
        st.lists(inside, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(
            st.sampled_from(
                ["model", "passes", "data", "gate", "seed", "measure", "shrink", "ratio", "skip", "time", "max_drop", "1", "? [a]"]
            ),
            inside,
            max_size=4,
        ).map(lambda pairs: f"{{{', '.join(f'{key}: {value}' for key, value in pairs.items())}}}"),
    ),
    max_leaves=12,
)


@pytest.mark.slow
@settings(max_examples=150)
@given(st.one_of(st.text(max_size=40), YAML_TEXT), st.lists(st.text("apsse.0123=ratio ", max_size=12), max_size=2))
def test_no_text_whatever_is_a_bug(text: str, overrides: list[str]) -> None:
    with contextlib.suppress(RecipeError):
        assert isinstance(recipe_from(text, overrides=overrides), Recipe)


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a [x]\n" + "\n".join(f"b{i}: &a [*a, *a, *a, *a]" for i in range(12))])
def test_aliases_that_explode_are_refused(text: str) -> None:
    assert "too large or too deep" in problems(text)[0][1]


def test_files_that_cannot_be_recipes_are_told(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\xff\xfe")
    for path, what in [
        (tmp_path / "no.yaml", "no such file"),
        (tmp_path, "this is a folder"),
        (tmp_path / "m.onnx", "this is not a recipe"),
    ]:
        with pytest.raises(UsageError, match=what):
            read_recipe(path)
