from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from optkit.cli import main
from optkit.inspection import Inspection
from optkit.records import read_record

TEXT = '<ir_version: 8, opset_import: ["": 17]> g (float[n, 64] x) => (float[n, 8] y) { y = MatMul (x, w) }'


@pytest.fixture
def model(tmp_path: Path) -> Path:
    made = onnx.parser.parse_model(TEXT)
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((64, 8), np.float32), "w"))
    onnx.save(made, tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=np.ones((3, 64), np.float32))
    return tmp_path / "model.onnx"


def optkit(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)])


def test_text_and_json_say_the_same(model: Path) -> None:
    text, record = optkit(model), optkit(model, "--json")
    found = read_record(Inspection, record.output)
    assert (text.exit_code, record.exit_code) == (0, 0)
    assert found.work.macs == 512
    assert f"{found.work.macs} MACs" in text.output
    assert found.advice[0].command in text.output.replace("\n", " ")  # type: ignore[operator]


def test_sizes_and_data(model: Path) -> None:
    assert read_record(Inspection, optkit(model, "--json", "--shape", "n=4").output).work.macs == 4 * 512
    of_data = read_record(Inspection, optkit(model, "--json", "--data", model.parent / "data.npz").output).work
    assert (of_data.sizes, of_data.assumed) == ({"x": (1, 64)}, {})


@pytest.mark.parametrize("given", [(), ("--data", "data.npz")])
def test_profile(model: Path, given: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    monkeypatch.setattr("optkit.inspection.profile.ENOUGH_SECONDS", 0.0)
    profile = read_record(Inspection, optkit(model, "--profile", "--json", *given).output).profile
    assert profile is not None
    assert [row.operator for row in profile.operators] == ["MatMul"]
    assert profile.data == (given[1] if given else "made-up inputs")


def test_made_up_inputs_that_do_not_suit_the_model_are_blamed(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["": 17]>
    g (float[1, 1, a] x, float[1, 1, b] k) => (float[1, 1, c] y) { s = Shape (k)  y = Reshape (x, s) }"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "model.onnx")
    done = optkit(tmp_path / "model.onnx", "--profile", "--shape", "a=5", "--shape", "b=7")
    assert done.exit_code == 2
    assert "hint: its inputs were made up; give real ones with --data" in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["absent.onnx"], "there is no such file"),
        (["model.onnx", "--shape", "nn=3"], "did you mean 'n'"),
        (["model.onnx", "--shape", "three"], "is not a size"),
        (["model.onnx", "--data", "absent.npz"], "there is no such file"),
        (["model.onnx", "--profile", "--device", "warp"], "no device is called 'warp'"),
    ],
)
def test_mistakes_are_told_in_words(model: Path, arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    done = optkit(*arguments)
    assert done.exit_code == 2
    assert says in done.output


def test_a_pytorch_model_is_to_be_exported_first(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"")
    result = optkit(tmp_path / "weights.safetensors")
    assert result.exit_code == 2
    assert "this is a PyTorch model" in result.stderr
    assert "hint: optkit export" in result.stderr


def interrupted(*given: object, **more: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("at", "profiled", "placed"),
    [("profile.profile_model", False, False), ("peaks.measure_peaks", True, False), ("drafts.try_drafts", True, True)],
)
def test_what_was_measured_before_an_interrupt_is_shown(
    at: str, profiled: bool, placed: bool, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optkit.inspection.profile.ENOUGH_SECONDS", 0.0)
    monkeypatch.setattr("optkit.inspection.peaks.SECONDS", 0.001)
    monkeypatch.setattr(f"optkit.inspection.{at}", interrupted)
    done = optkit(model, "--roofline", "--json")
    assert done.exit_code == 130
    assert done.stderr.endswith("interrupted: what was not measured by then is left out\n")
    found = read_record(Inspection, done.stdout)
    assert found.interrupted
    assert found.work.macs == 512
    assert (found.profile is not None, found.roofline is not None) == (profiled, placed)
    if found.roofline is not None:
        assert "tried" not in " ".join(each.why for each in found.roofline.predictions)


def test_batches_are_proposed_where_the_model_takes_them(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optkit.inspection.profile.ENOUGH_SECONDS", 0.0)
    monkeypatch.setattr("optkit.inspection.peaks.SECONDS", 0.001)
    monkeypatch.setattr("optkit.inspection.drafts.SECONDS", 0.01)
    one = onnx.load(model)
    for port in (*one.graph.input, *one.graph.output):
        port.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(one, model.with_name("one.onnx"))
    for path, proposed in ((model, True), (model.with_name("one.onnx"), False)):
        done = optkit(path, "--roofline")
        assert done.exit_code == 0
        assert ("batch 8" in done.stdout) is proposed
