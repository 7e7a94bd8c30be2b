"""The GitHub Action and the examples for CI: what they say exists, and the script does what it promises."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, save
from ruamel.yaml import YAML

from optkit.commands.gate import command as gate
from optkit.commands.run import command as run

ROOT = Path(__file__).parents[2]
OPTIONS = {option for command in (gate, run) for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
BASH = shutil.which("bash")

needs_bash = pytest.mark.skipif(BASH is None or os.name == "nt", reason="the action's script is for bash")


def read(name: str) -> Any:
    return YAML(typ="safe").load((ROOT / name).read_text(encoding="utf-8"))


ACTION = read("action.yml")
STEP, UPLOAD = ACTION["runs"]["steps"]


def test_every_option_in_the_script_is_one_of_the_commands() -> None:
    used = set(re.findall(r"(?<=[\s(])--[a-z][a-z-]+", STEP["run"].split("python -m pip", 1)[1].split("\n", 1)[1]))
    assert len(used) > 10
    assert used - OPTIONS == set()


def test_every_input_reaches_the_script_and_no_other_is_asked_for() -> None:
    named = set(re.findall(r"inputs\.([a-z-]+)", str(ACTION["runs"])))
    assert named == set(ACTION["inputs"])
    assert "${{" not in STEP["run"]  # what a model is called must not become a command
    used = set(re.findall(r"OPTKIT_[A-Z_]+", STEP["run"]))
    assert used == set(STEP["env"])


def test_the_report_is_uploaded_also_when_a_limit_is_broken() -> None:
    assert UPLOAD["if"].startswith("always()")
    assert UPLOAD["uses"].startswith("actions/upload-artifact@")


def test_the_example_sets_inputs_that_the_action_has() -> None:
    steps = read("examples/github-actions/gate-model.yml")["jobs"]["gate"]["steps"]
    (step,) = [step for step in steps if "/optkit@" in step.get("uses", "")]
    assert set(step["with"]) <= set(ACTION["inputs"])
    needed = {name for name, given in ACTION["inputs"].items() if given.get("required")}
    assert needed <= set(step["with"])


def test_the_job_for_gitlab_writes_what_it_hands_over() -> None:
    job = read("examples/gitlab/.gitlab-ci.yml")["gate-model"]
    line = shlex.split(job["script"][-1])
    assert line[:2] == ["optkit", "gate"]
    given = gate.make_context("gate", line[2:]).params
    assert str(given["junit"]) == job["artifacts"]["reports"]["junit"]
    assert [str(given["html"])] == job["artifacts"]["paths"]
    assert job["artifacts"]["when"] == "always"


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """Two models of the same answers, one twice the size, data, and stand-ins for pip and optkit on the path."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(8, 8)).astype(np.float32)
    for name, extra in (("small model", 0), ("big", 4000)):  # a space in a name is no reason to break
        weights = [helper.make_tensor("w", TensorProto.FLOAT, [8, 8], weight.ravel())]
        weights.append(helper.make_tensor("unread", TensorProto.FLOAT, [extra], np.zeros(extra, np.float32)))
        ports = [helper.make_tensor_value_info(port, TensorProto.FLOAT, ["n", 8]) for port in "xy"]
        graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", ports[:1], ports[1:], weights)
        save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / f"{name}.onnx")
    inputs = rng.normal(size=(64, 8)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=inputs, labels=(inputs @ weight).argmax(axis=1))
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, does in (("python", 'echo "$@" > "$ROOM/installed"'), ("optkit", f'exec {shlex.quote(sys.executable)} -m optkit "$@"')):
        (programs / name).write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    return tmp_path


def run_step(room: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """The action's script as a runner starts it, with inputs not given at their defaults."""
    defaults = {name: given.get("default", "") for name, given in ACTION["inputs"].items()}
    asked = defaults | {name.replace("_", "-"): value for name, value in ({"time": "0.2s"} | inputs).items()}
    filled = {key: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda m: asked[m[1]], value) for key, value in STEP["env"].items()}
    around = {"PATH": f"{room / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "ROOM": str(room)}
    runner = {"GITHUB_ACTION_PATH": str(ROOT), "GITHUB_STEP_SUMMARY": str(room / "summary.md"), "GITHUB_OUTPUT": str(room / "outputs")}
    kept = {key: os.environ[key] for key in ("HOME", "TMPDIR", "LANG") if key in os.environ}
    return subprocess.run(
        [str(BASH), "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", STEP["run"]],
        cwd=room,
        env={**kept, **around, **runner, **filled},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
@needs_bash
def test_a_model_that_holds_its_limits_passes(room: Path) -> None:
    (room / "summary.md").write_text("what was there\n", encoding="utf-8")
    done = run_step(
        room, before="big.onnx", after="small model.onnx", data="data.npz", metric="top1\nagreement", max_size="0.9", strict="true"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = (room / "summary.md").read_text(encoding="utf-8")
    assert summary.startswith("what was there\n")
    assert "**PASSED: 1 of 1 limits hold**" in summary
    assert "agreement" in summary
    assert (room / "outputs").read_text(encoding="utf-8").split() == ["verdict=passed", "report=optkit-report.html"]
    assert "<html" in (room / "optkit-report.html").read_text(encoding="utf-8")
    assert (room / "installed").read_text(encoding="utf-8").split()[-1] == str(ROOT)


@pytest.mark.slow
@needs_bash
def test_a_broken_limit_fails_the_step_and_leaves_summary_and_report(room: Path) -> None:
    done = run_step(room, before="small model.onnx", after="big.onnx", data="", max_size="0.9", html="a report.html", extras="openvino")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "**FAILED: 1 of 1 limits broken**" in (room / "summary.md").read_text(encoding="utf-8")
    assert (room / "outputs").read_text(encoding="utf-8").splitlines() == ["verdict=failed", "report=a report.html"]
    assert (room / "a report.html").exists()
    assert (room / "installed").read_text(encoding="utf-8").strip().endswith("[openvino]")


@pytest.mark.slow
@needs_bash
def test_a_mistake_is_told_and_leaves_no_report(room: Path) -> None:
    done = run_step(room, before="absent.onnx", after="big.onnx", max_size="0.9")
    assert done.returncode == 2
    assert "absent.onnx" in done.stderr
    assert (room / "outputs").read_text(encoding="utf-8").split() == ["verdict="]


RECIPE = """
model: big.onnx
data: data.npz
passes: [simplify_graph]
measure: {metrics: [top1], time: 0.2s}
gate: {max_size: 90%}
"""


@pytest.mark.slow
@needs_bash
def test_a_recipe_is_run_and_what_it_made_is_handed_on(room: Path) -> None:
    (room / "my recipe.yaml").write_text(RECIPE, encoding="utf-8")
    done = run_step(room, recipe="my recipe.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "**PASSED: 1 of 1 limits hold**" in (room / "summary.md").read_text(encoding="utf-8")
    assert (room / "outputs").read_text(encoding="utf-8").split() == ["folder=optkit-output", "verdict=passed", "report=optkit-report.html"]
    assert (room / "optkit-output" / "big.onnx").stat().st_size < (room / "big.onnx").stat().st_size
