from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, save

from optkit.cli import main
from optkit.inspection import OperatorTime, Profile
from optkit.inspection.audit import audit_of


def profile(*rows: OperatorTime) -> Profile:
    return Profile("cuda", 1, 5, "data", 1e-3, rows, 0.0, ())


def test_copies_are_told_apart_from_what_they_feed() -> None:
    found = audit_of(
        profile(
            OperatorTime("Conv", "CUDA", 3, 4e-4, 0.4),
            OperatorTime("NonMaxSuppression", "CPU", 1, 2e-4, 0.2),
            OperatorTime("Gather", "CPU", 2, 1e-4, 0.1),
            OperatorTime("MemcpyToHost", "CUDA", 2, 2e-4, 0.2),
            OperatorTime("MemcpyFromHost", "CUDA", 1, 1e-4, 0.1),
        ),
        "a.onnx",
        {"CPUExecutionProvider": 4, "CUDAExecutionProvider": 9},
    )
    assert [(use.provider, use.nodes, use.kernels) for use in found.uses] == [("CUDA", 9, 3), ("CPU", 4, 3)]
    assert [use.seconds for use in found.uses] == pytest.approx([4e-4, 3e-4])
    assert list(found.fallen_back.items()) == [("Gather", 2), ("NonMaxSuppression", 1)]
    assert (found.to_device, found.to_host) == (1, 2)
    assert found.copy_seconds == pytest.approx(3e-4)


def test_a_provider_whose_nodes_were_all_fused_away_is_still_listed() -> None:
    found = audit_of(profile(OperatorTime("Conv", "CUDA", 1, 1e-4, 1.0)), "a", {"CUDAExecutionProvider": 2, "CPUExecutionProvider": 1})
    assert [(use.provider, use.nodes, use.kernels, use.seconds > 0) for use in found.uses] == [("CUDA", 2, 1, True), ("CPU", 1, 0, False)]
    assert found.fallen_back == {}


@pytest.fixture
def two_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`whole.onnx`, all of which OpenVINO takes, and `torn.onnx`, in the middle of which is what it does not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4, 4], np.eye(4, dtype=np.float32).ravel())
    for name, middle in (("whole", helper.make_node("Neg", ["a"], ["b"])), ("torn", helper.make_node("Inverse", ["a"], ["b"]))):
        middle.domain = "com.microsoft" if middle.op_type == "Inverse" else ""
        nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), middle, helper.make_node("Relu", ["b"], ["y"])]
        ports = [helper.make_tensor_value_info(port, TensorProto.FLOAT, [1, 4, 4]) for port in "xy"]
        graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [weight])
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / f"{name}.onnx")
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).normal(size=(8, 4, 4)).astype(np.float32))
    return tmp_path


Run = Callable[..., Any]


def run(*line: str) -> Any:
    return CliRunner().invoke(main, [*line, "--data", "data.npz", "--time", "0.2s"], prog_name="optkit")


@pytest.mark.slow
@pytest.mark.openvino
def test_a_real_fall_back_is_counted_named_and_refused(two_models: Path) -> None:
    line = ("gate", "whole.onnx", "torn.onnx", "--device", "openvino", "--max-fallback-nodes")
    refused = run(*line, "0", "--markdown", "gate.md", "--html", "gate.html")
    assert refused.exit_code == 1, refused.output
    assert "--max-fallback-nodes 0" in refused.stdout
    text = " ".join(refused.stdout.split())
    assert "1 node runs on the CPU and not on openvino (0 before); 0 are allowed: 1 too many" in text
    assert "whole.onnx on openvino: nothing runs on the CPU" in text
    assert "torn.onnx on openvino: the CPU runs 1 Inverse" in text
    assert "| `torn.onnx` | openvino | OpenVINO | 2 | 2 |" in (two_models / "gate.md").read_text(encoding="utf-8")
    assert "the CPU runs 1 Inverse" in (two_models / "gate.html").read_text(encoding="utf-8")
    assert run(*line, "1").exit_code == 0


def test_where_all_is_on_the_cpu_nothing_can_be_judged_and_nothing_is_timed(two_models: Path) -> None:
    shown = run("gate", "whole.onnx", "torn.onnx", "--max-fallback-nodes", "0")
    assert shown.exit_code == 2
    assert "no device but the CPU was measured" in shown.stderr
    assert "--device" in shown.stderr
