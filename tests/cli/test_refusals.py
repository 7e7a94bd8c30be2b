"""Mistakes of users, at every command that can meet them: two lines, exit 2, and nothing left behind."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from optkit.registry import members

from .rooms import INPUTS, Optkit, Room, two_lines

READS_A_MODEL = {
    "inspect": ["MODEL"],
    "quantize": ["MODEL", "--int8", "--data", "data.npz"],
    "compare": ["MODEL", "copy.onnx", "--data", "data.npz"],
    "gate": ["MODEL", "copy.onnx", "--data", "data.npz", "--max-drop", "1%"],
    "init": ["MODEL", "--data", "data.npz"],
    "simplify": ["MODEL"],
    "run": ["recipe.yaml", "--model", "MODEL"],
    "check": ["recipe.yaml", "--model", "MODEL"],
    "verify": ["MODEL"],
    "prune": ["MODEL", "--data", "data.npz"],
    "drift": ["MODEL", "--data", "data.npz"],
    "bench": ["MODEL", "--data", "data.npz", "--time", "0.01"],
}
ALSO_SECOND = {
    "compare": ["copy.onnx", "MODEL", "--data", "data.npz"],
    "gate": ["copy.onnx", "MODEL", "--data", "data.npz", "--max-drop", "1%"],
}
READS_NO_MODEL = {"cache", "distill", "doctor", "export", "passes", "recipes"}
"""Or no ONNX model."""

RECIPE = "model: model.onnx\ndata: {calibration: 'data.npz[:32]', evaluation: 'data.npz[32:]'}\npasses:\n  - quantize\n"


def truncated(room: Room) -> None:
    whole = room.model.read_bytes()
    room.model.write_bytes(whole[: len(whole) * 2 // 3])


def other_bytes(room: Room) -> None:
    room.model.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)


def empty(room: Room) -> None:
    room.model.write_bytes(b"")


def folder(room: Room) -> None:
    room.model.unlink()
    room.model.mkdir()


def absent(room: Room) -> None:
    room.model.unlink()


def test_every_command_is_tried_with_broken_models() -> None:
    assert set(READS_A_MODEL) | READS_NO_MODEL == set(members("commands"))


@pytest.mark.parametrize("line", [*READS_A_MODEL.items(), *ALSO_SECOND.items()], ids=lambda line: f"{line[0]} {line[1][0]}")
@pytest.mark.parametrize("breaking", [truncated, other_bytes, empty, folder, absent], ids=lambda breaking: breaking.__name__)
def test_what_is_no_model_is_refused(line: tuple[str, list[str]], breaking: Callable[[Room], None], room: Room, optkit: Optkit) -> None:
    (room.path / "recipe.yaml").write_text(RECIPE)
    breaking(room)
    before = room.names()
    command, words = line
    what, _ = two_lines(optkit(command, *(str(room.model) if word == "MODEL" else word for word in words)))
    assert str(room.model) in what
    assert room.names() == before


def save(room: Room, **arrays: object) -> None:
    np.savez(room.path / "bad.npz", **arrays)  # type: ignore[arg-type]


def floats(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.zeros(shape, np.float32)


BAD_DATA: dict[str, tuple[dict[str, object], str]] = {
    "another name": ({"images": floats(8, INPUTS), "labels": np.zeros(8, int)}, "images"),
    "too wide": ({"x": floats(8, INPUTS + 1), "labels": np.zeros(8, int)}, str(INPUTS + 1)),
    "too few labels": ({"x": floats(8, INPUTS), "labels": np.zeros(7, int)}, "7"),
    "no examples": ({"x": floats(0, INPUTS), "labels": np.zeros(0, int)}, "bad.npz"),
    "text": ({"x": np.array(["a"] * 8), "labels": np.zeros(8, int)}, "x"),
}


@pytest.mark.parametrize("command", ["quantize", "compare", "gate"])
@pytest.mark.parametrize(("arrays", "named"), BAD_DATA.values(), ids=BAD_DATA)
def test_data_that_does_not_fit_is_refused(command: str, arrays: dict[str, object], named: str, room: Room, optkit: Optkit) -> None:
    save(room, **arrays)
    before = room.names()
    line = [{"MODEL": "model.onnx", "data.npz": "bad.npz"}.get(word, word) for word in READS_A_MODEL[command]]
    what, _ = two_lines(optkit(command, *line))
    assert "bad.npz" in what
    assert named in what
    assert room.names() == before


@pytest.mark.parametrize("command", ["quantize", "compare", "gate", "init"])
@pytest.mark.parametrize("data", ["gone.npz", "model.onnx", "data.npz[90:]", "data.npz[a:b]", "no.such.module:function"])
def test_data_that_cannot_be_read_is_refused(command: str, data: str, room: Room, optkit: Optkit) -> None:
    line = [{"MODEL": "model.onnx", "data.npz": data}.get(word, word) for word in READS_A_MODEL[command]]
    before = room.names()
    what, hint = two_lines(optkit(command, *line))
    assert data in what + hint
    assert room.names() == before


def test_a_metric_that_needs_labels_asks_for_them(room: Room, optkit: Optkit) -> None:
    save(room, x=floats(8, INPUTS))
    what, hint = two_lines(optkit("compare", "model.onnx", "copy.onnx", "--data", "bad.npz", "--metric", "top1"))
    assert "labels" in what + hint
    assert "bad.npz" in what


@pytest.mark.parametrize("command", ["compare", "gate"])
def test_an_unknown_metric_is_answered_with_the_nearest(command: str, room: Room, optkit: Optkit) -> None:
    line = ["model.onnx", *READS_A_MODEL[command][1:], "--metric", "topp1"]
    what, hint = two_lines(optkit(command, *line))
    assert "'topp1'" in what
    assert "did you mean 'top1'?" in hint


@pytest.mark.parametrize("command", ["quantize", "compare", "gate", pytest.param("verify", marks=pytest.mark.slow), "inspect"])
def test_an_absent_device_is_refused_and_never_replaced(command: str, room: Room, optkit: Optkit) -> None:
    device = "cuda" if "CUDAExecutionProvider" not in onnxruntime.get_available_providers() else "migraphx"
    line = ["model.onnx", *READS_A_MODEL[command][1:], "--device", device, *(["--profile"] if command == "inspect" else [])]
    if command == "verify":
        assert optkit("quantize", "model.onnx", "--int8", "--data", "data.npz", "-o", "made.onnx").exit_code == 0
        line[0] = "made.onnx"
    what, hint = two_lines(optkit(command, *line))
    assert device in what
    assert "install" in hint


@pytest.mark.parametrize("command", ["quantize", "compare"])
def test_a_device_that_nobody_knows_is_refused(command: str, room: Room, optkit: Optkit) -> None:
    what, hint = two_lines(optkit(command, "model.onnx", *READS_A_MODEL[command][1:], "--device", "cpuu"))
    assert "'cpuu'" in what
    assert "cpu" in hint


@pytest.mark.slow
def test_an_existing_model_is_replaced_only_when_told_to(room: Room, optkit: Optkit) -> None:
    line = ["quantize", "model.onnx", "--int8", "--data", "data.npz", "--accept-size-only"]
    made = room.path / "model.int8.onnx"
    made.write_bytes(b"precious")
    what, hint = two_lines(optkit(*line))
    assert "model.int8.onnx" in what
    assert "--force" in hint
    assert made.read_bytes() == b"precious"
    assert optkit(*line, "--force").exit_code == 0
    assert made.stat().st_size > 1000


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_the_model_that_is_read_is_never_written(force: list[str], room: Room, optkit: Optkit) -> None:
    (room.path / "link.onnx").symlink_to(room.model)
    before = room.model.read_bytes()
    for output in ("model.onnx", "link.onnx", f"../{room.path.name}/model.onnx"):
        two_lines(optkit("quantize", "model.onnx", "--int8", "--data", "data.npz", "-o", output, *force))
    two_lines(optkit("compare", "model.onnx", "copy.onnx", "--data", "data.npz", "--markdown", "model.onnx"))
    assert room.model.read_bytes() == before


WRITES = [
    ["quantize", "model.onnx", "--int8", "--data", "data.npz", "-o", "OUT/made.onnx"],
    ["compare", "model.onnx", "copy.onnx", "--data", "data.npz", "--markdown", "OUT/report.md"],
    ["compare", "model.onnx", "copy.onnx", "--data", "data.npz", "--report", "OUT/report.json"],
    ["gate", "model.onnx", "copy.onnx", "--data", "data.npz", "--max-drop", "1%", "--junit", "OUT/gate.xml"],
    ["init", "model.onnx", "-o", "OUT/recipe.yaml"],
]


@pytest.mark.parametrize("line", WRITES, ids=lambda line: f"{line[0]} {line[-2]}")
def test_a_folder_that_is_not_there_is_told_before_any_work(line: list[str], room: Room, optkit: Optkit) -> None:
    before = room.names()
    what, _ = two_lines(optkit(*(word.replace("OUT", "gone") for word in line)))
    assert "gone" in what
    assert room.names() == before


@pytest.mark.parametrize("line", WRITES, ids=lambda line: f"{line[0]} {line[-2]}")
def test_a_file_in_the_way_of_a_folder_is_told(line: list[str], room: Room, optkit: Optkit) -> None:
    what, _ = two_lines(optkit(*(word.replace("OUT", "copy.onnx") for word in line)))
    assert "copy.onnx" in what


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["quantize", "model.onnx"], "--int8"),
        (["quantize", "model.onnx", "--int8", "--samples", "0"], "--samples"),
        (["quantize", "model.onnx", "--int3"], "--int"),
        (["compare", "model.onnx"], "AFTER"),
        (["compare", "model.onnx", "copy.onnx", "--batch", "1,x"], "'1,x'"),
        (["compare", "model.onnx", "copy.onnx", "--time", "soon"], "'soon'"),
        (["gate", "model.onnx", "copy.onnx", "--data", "data.npz"], "--max-drop"),
        (["gate", "model.onnx", "copy.onnx", "--data", "data.npz", "--max-drop", "tiny"], "'tiny'"),
        (["gate", "--max-drop", "1%"], "--report"),
        (["gate", "--max-drop", "1%", "--report", "gone.json"], "gone.json"),
        (["gate", "--max-drop", "1%", "--report", "data.npz"], "data.npz"),
        (["passes", "quantise"], "quantize"),
        (["recipes", "int8_cn"], "int8_cnn"),
        (["check", "gone.yaml"], "gone.yaml"),
        (["run", "gone.yaml"], "gone.yaml"),
        (["verify", "model.onnx"], "model.onnx"),
        (["init", "model.onnx", "--data", "gone.npz"], "gone.npz"),
    ],
    ids=" ".join,
)
def test_a_line_that_asks_for_nothing_possible_is_answered_in_two_lines(line: list[str], said: str, room: Room, optkit: Optkit) -> None:
    before = room.names()
    what, hint = two_lines(optkit(*line))
    assert said in what + hint
    assert room.names() == before


def test_all_mistakes_of_a_recipe_are_told_at_once(room: Room, optkit: Optkit) -> None:
    (room.path / "recipe.yaml").write_text("model: model.onnx\ndat: data.npz\npasses:\n  - quantise\n  - quantize: {samples: many}\n")
    ended = optkit("run", "recipe.yaml")
    assert ended.exit_code == 2
    for told in ("recipe.yaml:2: ", "recipe.yaml:4: ", "recipe.yaml:5: ", "'dat'", "quantize", "samples"):
        assert told in ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="names are text there")
def test_names_with_spaces_and_other_alphabets_are_fine(room: Room, optkit: Optkit) -> None:
    odd = room.path / "mödel – 模型 (1).onnx"
    room.model.rename(odd)
    ended = optkit("inspect", odd.name)
    assert ended.exit_code == 0
    assert odd.name in ended.stdout


def test_every_path_is_absolute_or_as_the_user_wrote_it(room: Room, optkit: Optkit) -> None:
    what, _ = two_lines(optkit("inspect", Path("sub") / ".." / "gone.onnx"))
    assert what == "sub/../gone.onnx: there is no such file"


def test_a_mistyped_name_is_answered_with_the_nearest(room: Room, optkit: Optkit) -> None:
    assert two_lines(optkit("inspect", "mdel.onnx"))[1] == "did you mean model.onnx?"
