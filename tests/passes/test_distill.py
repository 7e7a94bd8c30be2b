"""Students learn from PyTorch and ONNX teachers, in recipes and on the command line; what does not fit is told at once."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from optkit.api import run
from optkit.artifact import Artifact
from optkit.cli import main
from optkit.datasets import Examples
from optkit.errors import DataError, ModelError, NothingPaid, OptkitError, RecipeError, UsageError
from optkit.formats.torch_origin import Origin, trusting
from optkit.passes import Job
from optkit.progress import silent
from optkit.recipe import read_recipe

torch = pytest.importorskip("torch")

from optkit.formats.torch import TorchModel, load_torch, save_torch  # noqa: E402
from optkit.passes._onnx_teacher import OnnxTeacher  # noqa: E402
from optkit.passes.distill import Distill  # noqa: E402
from optkit.passes.finetune import Finetune  # noqa: E402
from optkit.training.batches import make_batch  # noqa: E402
from optkit.training.teachers import Remembering  # noqa: E402

NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=8, classes=3, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(1, width, 3, padding=1)
        self.heads = nn.MultiheadAttention(width, 2, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, image):
        x = self.conv(image).relu()
        rows = x.mean(3).transpose(1, 2)
        seen, _ = self.heads(rows, rows, rows)
        return self.head((rows + seen).mean(1))

def shifted(batch):
    return {**batch, "image": batch["image"] + 0.1}
"""
FACTORY = "optkit_distill_nets:Net"


@pytest.fixture
def folder(users_module: Callable[[str, str], Path], tmp_path: Path) -> Path:
    users_module("optkit_distill_nets", NETS)
    with trusting(FACTORY):
        for name, arguments in (("teacher", {"width": 16}), ("student", {"width": 4, "seed": 1}), ("other", {"classes": 5})):
            save(tmp_path / f"{name}.safetensors", arguments)
    return tmp_path


def save(path: Path, arguments: dict[str, Any]) -> None:
    from optkit_distill_nets import Net  # type: ignore[import-not-found]

    save_torch(TorchModel(Net(**arguments), Origin(FACTORY, arguments)), path)


def examples(labels: bool = True) -> Examples:
    dice = np.random.default_rng(0)
    images = dice.standard_normal((120, 1, 6, 6)).astype(np.float32)
    return Examples("made", {"image": images}, np.argmax(images.mean((1, 3))[:, :3], 1) if labels else None)


def distilled(step: Any, data: Examples, source: str = "student.safetensors", original: str = "teacher.safetensors") -> Job:
    artifacts = [Artifact(Path(name), "torch", name) for name in (source, original)]
    job = Job(artifacts[1], data)
    with trusting(FACTORY):
        step.run(artifacts[0], Path("out.safetensors"), job)
    return job


def answers(path: str, data: Examples) -> Any:
    with trusting(FACTORY), torch.no_grad():
        return load_torch(Path(path)).module(torch.from_numpy(data.arrays["image"]))


BRIEF = {"epochs": 3, "learning_rate": 0.02, "batch_size": 16, "training_threads": 1}


@pytest.mark.slow
def test_by_default_the_original_model_teaches_and_labels_are_not_needed(folder: Path) -> None:
    data = examples(labels=False)
    job = distilled(Distill(**BRIEF), data)
    wanted = torch.softmax(answers("teacher.safetensors", data), 1)
    apart = [float((torch.softmax(answers(f"{name}.safetensors", data), 1) - wanted).abs().mean()) for name in ("student", "out")]
    assert apart[1] < apart[0] / 2
    assert job.notes["validation loss"]["after"] < job.notes["validation loss"]["before"]
    assert job.notes["held out"] == 12
    assert len(job.notes["measured_loss_by_epoch"]) == 3
    assert "by chance as much as by skill" in job.notes["beware"]


def onnx_teacher(path: Path, batch: str) -> Any:
    """Scores of images by three products; what it should answer, as a function."""
    weights = np.random.default_rng(3).standard_normal((36, 3)).astype(np.float32)
    model = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["" : 17]>\n'
        f"teacher (float[{batch}, 1, 6, 6] pixels) => (float[{batch}, 3] scores)\n"
        f"{{ flat = Flatten (pixels) inner = MatMul (flat, w) scores = Tanh (inner) }}"
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(model, path)
    return lambda images: np.tanh(images.reshape(-1, 36) @ weights)


@pytest.mark.parametrize("batch", ["N", "1", "4"])
def test_an_onnx_teacher_answers_as_onnx_runtime_does_whatever_its_batch(folder: Path, batch: str) -> None:
    wanted = onnx_teacher(folder / "t.onnx", batch)
    data = examples()
    teacher = OnnxTeacher(folder / "t.onnx", 1, hidden=["inner"])
    taught = teacher(make_batch(data, np.arange(7), "cpu"))
    scores = wanted(data.arrays["image"][:7])
    np.testing.assert_allclose(taught.outputs["scores"].numpy(), scores, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.tanh(taught.hidden["inner"].numpy()), scores, rtol=1e-5, atol=1e-6)
    with pytest.raises(UsageError, match="the teacher has no tensor 'outer'"):
        OnnxTeacher(folder / "t.onnx", 1, hidden=["outer"])


def test_an_onnx_model_teaches(folder: Path) -> None:
    onnx_teacher(folder / "t.onnx", "N")
    job = distilled(Distill(**BRIEF, teacher="t.onnx", hidden={"head": "inner"}), examples(labels=False))
    assert job.notes["validation loss"]["after"] < job.notes["validation loss"]["before"]


def test_answers_and_hidden_states_are_remembered_as_they_were_given(folder: Path) -> None:
    data = examples()
    onnx_teacher(folder / "t.onnx", "N")
    asked: list[int] = []
    inner = OnnxTeacher(folder / "t.onnx", 1, hidden=["inner"])

    class Counted:
        def __call__(self, batch: Any) -> Any:
            asked.append(len(batch))
            return inner(batch)

        def to(self, device: str) -> None: ...

    teacher = Remembering(Counted(), data)
    teacher.remember("cpu", silent)
    assert asked == [64, 56]
    batch = make_batch(data, np.array([70, 3, 119]), "cpu")
    torch.testing.assert_close(teacher(batch).outputs["scores"], inner(batch).outputs["scores"])
    torch.testing.assert_close(teacher(batch).hidden["inner"], inner(batch).hidden["inner"])
    assert asked == [64, 56]
    teacher(make_batch(data, np.array([70]), "cpu", lambda batch: batch))
    assert asked == [64, 56, 1], "an augmented batch is new to the teacher"


@pytest.mark.slow
def test_inner_values_are_matched_across_widths(folder: Path) -> None:
    job = distilled(Distill(**BRIEF, hidden={"conv": "conv"}, attention={"conv": "conv"}), examples())
    assert job.notes["best epoch"] > 0
    with pytest.raises(UsageError, match="the student has no part 'convv'") as caught:
        distilled(Distill(**BRIEF, hidden={"convv": "conv"}), examples())
    assert "did you mean 'conv'" in str(caught.value.hint)


def test_augmented_batches_are_shown_to_both(folder: Path) -> None:
    job = distilled(Distill(**BRIEF, augment="optkit_distill_nets:shifted"), examples(labels=False))
    assert job.notes["epochs"] == 3


def test_other_classes_and_the_same_model_are_refused_at_once(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"differ in shape: 'output' is \[2, 3\], the teacher's is \[2, 5\]"):
        distilled(Distill(**BRIEF, teacher="other.safetensors"), examples())
    with pytest.raises(UsageError, match="student and teacher are the same model"):
        distilled(Distill(**BRIEF), examples(), original="student.safetensors")
    with pytest.raises(UsageError, match=r"made with the arguments {'seed': 1, 'width': 4}, not with {'width': 8}"):
        distilled(Distill(**BRIEF, student={"factory": FACTORY, "arguments": {"width": 8}, "weights": "student.safetensors"}), examples())
    with pytest.raises(DataError, match="label_share needs labels"):
        distilled(Distill(**BRIEF, label_share=0.3), examples(labels=False))


def test_code_of_a_teacher_runs_only_where_it_is_named(folder: Path) -> None:
    text = (folder / "optkit_distill_nets.py").read_text()
    (folder / "optkit_strange_nets.py").write_text(text)
    with trusting("optkit_strange_nets:Net"):
        from optkit_strange_nets import Net  # type: ignore[import-not-found]

        save_torch(TorchModel(Net(), Origin("optkit_strange_nets:Net")), folder / "strange.safetensors")
    with pytest.raises(UsageError, match="a file is no reason to run code") as caught:
        distilled(Distill(**BRIEF, teacher="strange.safetensors"), examples())
    assert "{factory: optkit_strange_nets:Net, weights: strange.safetensors}" in str(caught.value.hint)


@pytest.mark.slow
def test_finetuning_learns_labels_and_says_when_it_only_harmed(folder: Path) -> None:
    data = examples()
    job = distilled(Finetune(**{**BRIEF, "epochs": 8}), data)
    found = job.notes["validation top1"]
    assert found["after"] > found["before"]
    with pytest.raises(NothingPaid, match="training did not help: top1 on 12 examples held out was"):
        distilled(
            Finetune(epochs=1, learning_rate=1e-9, batch_size=64, training_threads=1, metric="top1", optimizer="sgd"),
            data,
            "out.safetensors",
        )


RECIPE = """
model: {{factory: "{factory}", arguments: {{width: 16}}}}
data: {{training: data.npz, evaluation: data.npz}}
passes:
  - distill:
      student: {{factory: "{factory}", arguments: {{width: 4, seed: 1}}}}
      teacher: {teacher}
      epochs: 2
      learning_rate: 0.02
      training_threads: 1
  - export_onnx
measure: {{time: 0.2s}}
"""


@pytest.mark.slow
def test_a_recipe_names_student_and_teacher_and_its_files_are_beside_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = examples()
    np.savez("data.npz", image=data.arrays["image"], labels=np.asarray(data.labels))
    (folder / "recipe.yaml").write_text(RECIPE.format(factory=FACTORY, teacher="teacher.safetensors"))
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    made = run("../recipe.yaml", output="out", cache=False)
    step = made.model.lineage[0]
    assert step.parameters["teacher"] == "teacher.safetensors", "no path of this machine"
    assert step.notes["parameters"] < 300
    assert made.model.path.suffix == ".onnx"


def test_a_teacher_that_is_not_there_is_told_before_any_work(folder: Path) -> None:
    from optkit.plan import make_plan

    (folder / "recipe.yaml").write_text(RECIPE.format(factory=FACTORY, teacher="nowhere.onnx"))
    with pytest.raises(RecipeError, match=r"recipe.yaml:5: distill: teacher: there is no file nowhere.onnx"):
        make_plan(read_recipe("recipe.yaml"))


def test_what_the_key_of_a_step_depends_on(folder: Path) -> None:
    one = Distill(teacher="teacher.safetensors")
    assert one.depends("a") == one.depends("b")
    assert Distill().depends("a") != Distill().depends("b"), "the original is the teacher"
    before = one.depends("a")
    save_other = (folder / "other.safetensors").read_bytes()
    (folder / "teacher.safetensors").write_bytes(save_other)
    assert one.depends("a") != before, "the file has changed"
    own = Finetune(loss="optkit_distill_nets:shifted")
    before = own.depends("a")
    (folder / "optkit_distill_nets.py").write_text(NETS + "\n# changed\n")
    assert own.depends("a") != before, "the code has changed"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".safetensors", pytest.param(".onnx", marks=pytest.mark.slow)])
def test_the_command_trains_and_says_what_came_of_it(folder: Path, suffix: str) -> None:
    data = examples()
    np.savez("data.npz", image=data.arrays["image"], labels=np.asarray(data.labels))
    words = [f"{FACTORY}", "--arguments", '{"width": 4, "seed": 1}', "--teacher", "teacher.safetensors", "--teacher-factory", FACTORY]
    found = CliRunner().invoke(
        main, ["distill", *words, "--data", "data.npz", "--epochs", "2", "--learning-rate", "0.02", "-o", f"o{suffix}"]
    )
    assert found.exit_code == 0, found.output
    assert f"o{suffix}, {FACTORY} taught by teacher.safetensors" in found.output
    assert " before, " in found.output
    assert "on 12 examples held out" in found.output
    assert (folder / f"o{suffix}").is_file()


def test_the_command_refuses_in_two_lines(folder: Path) -> None:
    for words, says in (
        (["model.bin", "--teacher", "teacher.safetensors"], "this is no PyTorch model"),
        ([FACTORY, "--teacher", "nowhere.onnx"], "there is no such file"),
        ([FACTORY, "--teacher", "teacher.safetensors", "--arguments", "[1]"], "expected names and values"),
    ):
        found = CliRunner().invoke(main, ["distill", *words, "--data", "data.npz"])
        assert isinstance(found.exception, OptkitError | SystemExit)
        assert says in f"{found.output}{found.exception}"


@pytest.mark.slow
def test_two_processes_follow_one_recipe_and_the_first_writes(folder: Path) -> None:
    pytest.importorskip("accelerate")
    data = examples()
    np.savez("data.npz", image=data.arrays["image"], labels=np.asarray(data.labels))
    (folder / "recipe.yaml").write_text(RECIPE.format(factory=FACTORY, teacher="teacher.safetensors"))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "optkit"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPTKIT_CACHE": str(folder / "cache")}
    for again in ("", "--force"):  # the second time every step is taken from the cache
        words = ["run", "recipe.yaml", "-o", "out", *filter(None, [again])]
        done = subprocess.run([*launch, *words], env=environment, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("written: out/Net.onnx") == 1
        assert "processes: 2" in done.stdout.replace("\n", " ")
    assert sorted(file.name for file in (folder / "out").iterdir()) == ["Net.onnx", "report.html", "report.json", "report.md"]
