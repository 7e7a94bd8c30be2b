"""What outputs are: maps of numbers that are read where another map marks something."""

import numpy as np
import pytest

from optkit.arrays import Array
from optkit.quantization.fidelity.output_roles import OutputRoles
from optkit.quantization.fidelity.reference import Reference

from ..tiny import draw, read
from .test_score_channels import Placed, feeds

SIDE, EXAMPLES = 20, 12
CENTRES = read(
    f"""(float[1,3,{SIDE},{SIDE}] x) => (float[1,1,{SIDE},{SIDE}] marks, float[1,4,{SIDE},{SIDE}] sizes) {{
        m = ReduceMean<axes=[1]>(x) marks = Sigmoid(m) sizes = Conv(x, w) }}""",
    w=draw(4, 3, 1, 1),
)


def marked(seed: int, share: float = 0.01) -> dict[str, Array]:
    """A map of scores that is high at few places, and numbers for every place."""
    dice = np.random.default_rng(seed)
    marks = np.full((1, 1, SIDE, SIDE), 0.01, np.float32)
    marks.reshape(-1)[dice.choice(SIDE * SIDE, int(share * SIDE * SIDE), replace=False)] = 0.9
    return {"marks": marks, "sizes": draw(1, 4, SIDE, SIDE, seed=seed)}


def roles(answers: list[dict[str, Array]]) -> OutputRoles:
    return OutputRoles(CENTRES.graph.outputs, answers)


def along_the_last_axis(answers: dict[str, Array]) -> dict[str, Array]:
    return {name: np.moveaxis(array, 1, -1) for name, array in answers.items()}


@pytest.mark.parametrize("turned", [dict, along_the_last_axis])
def test_numbers_belong_to_the_few_places_that_a_map_marks(turned: type[dict[str, Array]]) -> None:
    answers = [turned(marked(i)) for i in range(EXAMPLES)]
    found = roles(answers).maps
    assert {name: here.name for name, here in found.items()} == {"sizes": "marks"}
    read_there = found["sizes"].read(answers[0]["sizes"], answers[0])
    assert read_there.shape == (4, 4)
    places = np.argwhere(marked(0)["marks"][0, 0] > 0.5)
    np.testing.assert_array_equal(read_there, [marked(0)["sizes"][0, :, y, x] for y, x in places])


def test_a_mask_that_covers_much_marks_nothing() -> None:
    assert not roles([marked(i, share=0.2) for i in range(EXAMPLES)]).maps


def test_too_few_marks_mark_nothing() -> None:
    assert not roles([marked(i) for i in range(2)]).maps


def test_a_map_of_other_places_is_judged_by_itself() -> None:
    answers = [marked(i) | {"sizes": draw(1, 4, SIDE, SIDE + 1, seed=i)} for i in range(EXAMPLES)]
    assert not roles(answers).maps


@pytest.mark.parametrize(("where", "heard"), [("elsewhere", False), ("at marks", True)])
def test_noise_counts_where_somebody_reads_the_numbers(where: str, heard: bool) -> None:
    truth = [marked(i) for i in range(EXAMPLES)]
    spoilt = []
    for i, answers in enumerate(truth):
        noise = draw(1, 4, SIDE, SIDE, seed=100 + i)
        marks = answers["marks"] > 0.5
        spoilt.append(answers | {"sizes": answers["sizes"] + noise * (marks if heard else ~marks)})
    found = Reference(CENTRES, Placed(*truth), feeds(EXAMPLES)).compare(Placed(*spoilt))
    assert (found.sqnr < 3) is heard
    assert found.high_scores == 1


@pytest.mark.parametrize("shape", ["T", "N,T"])
def test_one_probability_for_each_frame_is_no_class(shape: str) -> None:
    model = read(f"(float[{shape}] x) => (float[{shape}] y) {{ y = Sigmoid(x) }}")
    rows = (1, 40) if "," in shape else (40,)
    answers = [{"y": np.random.default_rng(i).uniform(0, 1, rows).astype(np.float32)} for i in range(EXAMPLES)]
    found = OutputRoles(model.graph.outputs, answers)
    assert list(found.scores) == ["y"]
    assert found.answer is None
    assert found.scores["y"].matched(answers[0]["y"], answers[0]["y"]).both == (answers[0]["y"] > 0.25).sum()


def test_a_yes_or_no_for_each_example_of_any_number_stays_one() -> None:
    model = read("(float[N] x) => (float[N] y) { y = Sigmoid(x) }")
    answers = [{"y": np.random.default_rng(i).uniform(0, 1, 1).astype(np.float32)} for i in range(EXAMPLES)]
    assert not OutputRoles(model.graph.outputs, answers).scores
