"""Where nodes run, in words."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from optkit.inspection.audit import ProviderAudit, ProviderUse
from optkit.reports._providers import rows_of, sentences

TORN = ProviderAudit(
    "m.int8.onnx",
    "cuda",
    (ProviderUse("CUDA", 90, 41, 6e-4), ProviderUse("CPU", 1214, 1214, 1e-4)),
    {f"Kind{i}": 1100 - i for i in range(8)},
    to_device=14,
    to_host=1213,
    copy_seconds=3e-4,
)
WHOLE = ProviderAudit("m.onnx", "cuda", (ProviderUse("CUDA", 90, 41, 6e-4),), {}, 0, 0, 0.0)


def told(*audits: ProviderAudit) -> Any:
    return SimpleNamespace(audits=audits)


def test_copies_have_a_row_and_all_shares_of_time_come_to_a_whole() -> None:
    rows = [row.cells for row in rows_of(told(WHOLE, TORN))]
    assert rows == [
        ("m.onnx", "cuda", "CUDA", "90", "41", "600 µs (100%)"),
        ("m.int8.onnx", "cuda", "CUDA", "90", "41", "600 µs (60.0%)"),
        ("m.int8.onnx", "cuda", "CPU", "1,214", "1,214", "100 µs (10.0%)"),
        ("m.int8.onnx", "cuda", "copies", "", "1,227", "300 µs (30.0%)"),
    ]


def test_a_sentence_for_each_model_names_what_the_cpu_runs_and_counts_copies() -> None:
    first, second = sentences(told(WHOLE, TORN))
    assert first == "m.onnx on cuda: nothing runs on the CPU; no copies between devices within the model"
    assert second.startswith("m.int8.onnx on cuda: the CPU runs 1,100 Kind0, 1,099 Kind1, ")
    assert second.endswith(", 2 other kinds; 14 copies to the device and 1,213 back in one inference, 300 µs")
    (one,) = sentences(told(replace(TORN, to_device=1, to_host=0)))
    assert "; 1 copy to the device and 0 back in one inference" in one
