from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.compare import Delta
from optkit.measure import Machine
from optkit.reports._words import HEADING, heading, machine_line, sentence, short

TIME = Delta("latency_median", "cpu", 1, "s", "lower", 2.0, 1.0, 0.5, 0.48, 0.52, "better", "block bootstrap over rounds", 30)
SCORE = Delta("top1", "cpu", 1, "ratio", "higher", 0.8, 0.796, -0.005, -0.01, 0.002, "undecided", "Tango score interval", 1000)
SQNR = Delta("sqnr", "cpu", 1, "dB", "higher", 120.0, 20.0, -100 / 120, -101 / 120, -99 / 120, "worse", "paired bootstrap over examples", 9)
SIZE = Delta("size", "cpu", 1, "bytes", "lower", 1e6, 5.2e5, 0.48, 0.48, 0.48, "better", "exact", 1)
MEMORY = replace(TIME, metric="memory", unit="bytes")
ERROR = Delta("mean_squared_error", "cpu", 1, "", "lower", 0.5, 0.6, -0.2, -0.3, -0.1, "worse", "paired bootstrap over examples", 1000)


@pytest.mark.parametrize(
    ("delta", "words"),
    [
        (TIME, "2.00× as fast (1.92 to 2.08)"),
        (replace(TIME, gain=-1.0, low=-1.2, high=-0.9, verdict="worse"), "2.00× as slow (1.90 to 2.20)"),
        (replace(TIME, gain=0.0, low=-0.02, high=0.01, verdict="undecided"), "too close to tell (0.98 to 1.01)"),
        (replace(TIME, gain=0.25, low=0.04, high=0.4, verdict="undecided"), "perhaps faster (1.04 to 1.67)"),
        (replace(TIME, gain=0.006, low=0.002, high=0.012, verdict="undecided"), "too close to tell (1.00 to 1.01)"),
        (replace(TIME, gain=-0.1, low=-0.25, high=-0.01, verdict="undecided"), "perhaps slower (0.80 to 0.99)"),
        (replace(TIME, gain=0.0, low=-0.002, high=0.001, verdict="same"), "about the same (1.00 to 1.00)"),
        (replace(TIME, metric="throughput", unit="1/s", better="higher"), "1.50× as much (1.48 to 1.52)"),
        (
            replace(TIME, metric="memory", unit="bytes", gain=-0.75, low=-0.76, high=-0.74, verdict="worse"),
            "175% of it (174% to 176%): more",
        ),
        (replace(MEMORY, low=0.499, high=0.501), "50% of it: less"),
        (SCORE, "0.40 points lower (between −0.80 and +0.16): no loss shown"),
        (replace(SCORE, after=0.804, gain=0.005, low=-0.002, high=0.01), "0.40 points higher (between −0.16 and +0.80): no gain shown"),
        (replace(SCORE, low=-0.01, high=-0.001, verdict="worse"), "0.40 points lower (between −0.80 and −0.08): worse"),
        (replace(SCORE, after=0.8, gain=0.0), "no change (between −0.80 and +0.16): no loss shown"),
        (replace(SCORE, after=0.8, gain=0.0, verdict="same"), "the same on all 1,000 examples"),
        (ERROR, "20.00% higher (between +10.00% and +30.00%): worse"),
        (SIZE, "52.0% of it: smaller"),
        (SQNR, "19.0 to 21.0 dB: error 10.0% of the signal"),
        (replace(SQNR, after=-5.0, gain=-5 / 120 - 1, low=-6 / 120 - 1, high=-4 / 120 - 1), "-6.0 to -4.0 dB: more error than signal"),
        (replace(SQNR, low=-inf, high=inf), "one example says nothing of chance"),
        (replace(SQNR, low=-inf, high=inf, method="paired bootstrap over groups"), "one group says nothing of chance"),
        (replace(SIZE, after=1000312.0, gain=-0.000312, verdict="worse"), "larger by 312 B"),
        (replace(SIZE, after=999600.0, gain=0.0004), "smaller by 400 B"),
        (replace(SCORE, before=0.0, gain=float("nan")), "cannot be compared: 0 before"),
        (replace(SCORE, after=float("nan"), gain=float("nan")), "cannot be compared: not finite"),
    ],
)
def test_a_difference_is_a_sentence(delta: Delta, words: str) -> None:
    assert sentence(delta) == words


def test_short_forms_keep_the_interval() -> None:
    assert short(TIME) == "2.00× (1.92 to 2.08)"
    assert short(SCORE) == "−0.40 points (−0.80 to +0.16)\ntoo close to tell"


@given(st.text(alphabet="abc._-/", min_size=1, max_size=80))
def test_headings_are_the_name_in_short_lines(name: str) -> None:
    lines = heading(name).split("\n")
    assert "".join(lines) == name
    assert all(0 < len(line) <= HEADING for line in lines)


def test_headings_end_where_a_part_of_the_name_does() -> None:
    assert heading("fashion_resnet8.fp16.onnx") == "fashion_resnet8.fp16\n.onnx"
    assert heading("model.onnx") == "model.onnx"


def test_a_machine_is_told_with_its_gpus_where_something_ran_there() -> None:
    machine = Machine("Linux", "a CPU", 2, (), {"onnxruntime": "1.31.1"}, ("a GPU",))
    assert machine_line(machine, ["cpu"]) == "a CPU, 2 cores, onnxruntime 1.31.1"
    assert machine_line(machine, ["cpu", "cuda"]) == "a CPU, 2 cores, a GPU, onnxruntime 1.31.1"
