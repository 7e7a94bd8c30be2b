import dataclasses
import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import onnx.reference
import onnx_ir as ir
import pytest
from pydantic import Field

import optkit
from optkit.artifact import Artifact
from optkit.datasets import Examples
from optkit.errors import DataError, ModelError, NothingPaid, OptkitError, PassFailed, UsageError
from optkit.formats import read_artifact
from optkit.manifest import changes, read_manifest
from optkit.measure import detect_machine
from optkit.optimize import optimize, step_key
from optkit.passes import Job, OnnxPass, Pass
from optkit.store import Store

TEXT = f"""
<ir_version: 9, opset_import: ["" : 17]>
small (float[N, 3] x) => (float[N, 40] y)
<float[3, 40] w = {{{", ".join(map(str, range(120)))}}}> {{ y = MatMul(x, w) }}
"""
EXAMPLES = {"calibration": Examples("made", {"x": np.arange(24, dtype=np.float32).reshape(8, 3)})}


@pytest.fixture
def source(tmp_path: Path) -> Artifact:
    model = onnx.parser.parse_model(TEXT)
    model.metadata_props.add(key="author", value="someone")
    path = tmp_path / "in" / "small.onnx"
    path.parent.mkdir()
    onnx.save(model, path)
    return read_artifact(path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


class Scale(OnnxPass):
    """Multiplies the weights."""

    by: float = Field(2.0, description="factor")
    draws: ClassVar[str | None] = "calibration"
    draws_if_given: ClassVar[bool] = True
    runs: ClassVar[list[float]] = []

    def edit(self, model: ir.Model, job: Job) -> ir.Model:
        self.runs.append(self.by)
        job.note("scaled", self.by)
        job.note("measured speedup", np.random.default_rng().random())
        weights = model.graph.initializers["w"]
        assert weights.const_value is not None
        weights.const_value = ir.tensor(weights.const_value.numpy() * np.float32(self.by))
        return model


class Trained(Scale):
    """Trains with every core."""

    training_threads: int = Field(0, description="threads")


class Demanding(Scale):
    """Needs examples."""

    draws_if_given: ClassVar[bool] = False


class Broken(Pass):
    """Goes wrong in the way it is told."""

    how: str = Field("raises", description="what goes wrong")

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        target.write_bytes(source.path.read_bytes())
        match self.how:
            case "raises":
                raise ValueError("no luck, in clone_graph with args Graph(\n" + "    %x<FLOAT,[1]>{...}\n" * 200)
            case "writes nothing":
                target.unlink()
            case "writes rubbish":
                target.write_bytes(b"rubbish")
            case "gives NaN":
                _save(target, "y0 = MatMul(x, w)\n zero = Sub(x, x)\n nan = Div(zero, zero)\n n2 = MatMul(nan, w)\n y = Add(y0, n2)")
            case "gives a constant":
                _save(target, "zero = Sub(x, x)\n y = MatMul(zero, w)")
            case "does not load":
                _save(target, "y = NoSuchOperator(x, w)")
            case "takes other inputs":
                onnx.save(onnx.parser.parse_model(TEXT.replace("x)", "z)").replace("(x", "(z")), target)
            case "changes its source":
                source.path.write_bytes(source.path.read_bytes() + b"")
                _save(source.path, "y0 = MatMul(x, w)\n y = Neg(y0)")
            case "fills the disk":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
            case "pays nothing":
                raise NothingPaid("every variant is slower", hint="use --accept-size-only")
            case "is interrupted":
                raise KeyboardInterrupt


def _save(path: Path, body: str) -> None:
    onnx.save(onnx.parser.parse_model(TEXT.replace("y = MatMul(x, w)", body)), path)


def answer(path: Path) -> np.ndarray[Any, np.dtype[Any]]:
    [found] = onnx.reference.ReferenceEvaluator(str(path)).run(None, {"x": np.eye(3, dtype=np.float32)})
    return np.asarray(found)


def test_steps_run_in_order_and_the_result_tells_how_it_was_made(source: Artifact, out: Path) -> None:
    made = optimize(source, [Scale(by=2), Scale(by=5)], target=out / "m.onnx", examples=EXAMPLES, seed=7)
    assert made == Artifact(out / "m.onnx", "onnx", read_artifact(out / "m.onnx").digest, made.lineage)
    assert np.allclose(answer(made.path), answer(source.path) * 10)
    assert [(step.by, step.parameters, step.seed) for step in made.lineage] == [("scale", {"by": 2}, 7), ("scale", {"by": 5}, 7)]
    assert made.lineage[0].source == source.digest
    assert made.lineage[0].data == EXAMPLES["calibration"].digest
    assert [file.name for file in out.iterdir()] == ["m.onnx"]


def test_the_manifest_is_in_the_file_beside_what_was_there(source: Artifact, out: Path) -> None:
    made = optimize(source, [Scale()], target=out / "m.onnx")
    entries = {entry.key: entry.value for entry in onnx.load(made.path).metadata_props}
    assert entries["author"] == "someone"
    manifest = read_manifest(made.path)
    assert manifest is not None
    assert manifest["source"] == {"file": "small.onnx", "digest": source.digest}
    notes = manifest["steps"][0]["notes"]
    assert set(notes) == {"scaled", "chosen_on"}, "what was measured stays out of the file, what it depends on does not"
    assert notes["chosen_on"] == list(detect_machine().features)
    assert made.lineage[0].notes["measured speedup"] < 1
    assert changes(made.path) == []


def test_the_same_work_gives_the_same_bytes_from_the_cache_or_not(source: Artifact, out: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    texts = [
        optimize(source, [Scale(), Scale(by=3)], target=out / f"{i}.onnx", examples=EXAMPLES, cache=cache).path.read_bytes()
        for i, cache in enumerate([None, None, store, store])
    ]
    assert len(set(texts)) == 1


def test_a_kept_step_is_not_run_again_unless_something_it_depends_on_changed(source: Artifact, out: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    Scale.runs.clear()
    optimize(source, [Scale(by=2), Scale(by=3)], target=out / "a.onnx", cache=store)
    again = optimize(source, [Scale(by=2), Scale(by=4)], target=out / "b.onnx", cache=store)
    assert Scale.runs == [2, 3, 4]
    assert np.allclose(answer(again.path), answer(source.path) * 8)
    assert [step.notes["scaled"] for step in again.lineage] == [2, 4]


def test_the_key_of_a_step_holds_all_it_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def key(
        source: str = "s", step: Pass | None = None, data: str | None = None, device: str = "cpu", threads: int = 1, seed: int = 0
    ) -> str:
        return step_key(source, step or Scale(), data, device, threads, seed)

    others = [key("t"), key(step=Scale(by=3)), key(step=Demanding()), key(data="d"), key(device="cuda"), key(threads=2), key(seed=1)]
    monkeypatch.setattr(Scale, "revision", 2)
    others.append(key())
    monkeypatch.setattr(Scale, "revision", 1)
    assert len({key(), *others}) == 1 + len(others)
    assert key() == key(step=Scale(by=2.0))


@pytest.mark.parametrize(("step", "threads", "depends"), [(Scale(), 1, False), (Scale(), 0, True), (Trained(), 1, True)])
def test_the_cores_of_a_machine_count_only_where_all_of_them_are_taken(
    step: Pass, threads: int, depends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = step_key("s", step, None, "cpu", threads, 0)
    other = dataclasses.replace(detect_machine(), cores=detect_machine().cores + 1)
    monkeypatch.setattr("optkit.optimize.detect_machine", lambda: other)
    assert (step_key("s", step, None, "cpu", threads, 0) != here) == depends


def test_a_damaged_entry_of_the_cache_is_computed_again(source: Artifact, out: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    first = optimize(source, [Scale()], target=out / "a.onnx", cache=store)
    [entry] = store.entries()
    (entry.folder / "model.onnx").write_bytes(source.path.read_bytes())
    assert optimize(source, [Scale()], target=out / "b.onnx", cache=store).digest == first.digest
    assert optimize(source, [Scale()], target=out / "c.onnx", cache=store).digest == first.digest


@pytest.mark.parametrize(
    ("how", "kind", "says"),
    [
        ("raises", PassFailed, "ValueError: no luck"),
        ("writes nothing", PassFailed, "it wrote no model"),
        ("writes rubbish", PassFailed, "not an ONNX model"),
        ("gives NaN", PassFailed, "output 'y' of the result holds NaN or infinity"),
        ("gives a constant", PassFailed, "output 'y' of the result is the same whatever goes in"),
        ("does not load", PassFailed, "NoSuchOperator"),
        ("takes other inputs", PassFailed, "its result does not run"),
        ("changes its source", PassFailed, "it changed the model that it reads"),
        ("fills the disk", OptkitError, "the disk is full"),
        ("pays nothing", NothingPaid, "every variant is slower\nhint: use --accept-size-only"),
        ("is interrupted", KeyboardInterrupt, ""),
    ],
)
def test_a_failure_is_told_and_leaves_nothing(source: Artifact, out: Path, how: str, kind: type[BaseException], says: str) -> None:
    kept = out / "m.onnx"
    kept.write_bytes(b"what was there before")
    with pytest.raises(kind) as caught:
        optimize(source, [Scale(), Broken(how=how)], target=kept, examples=EXAMPLES, force=True, wheres=["r.yaml:3", "r.yaml:4"])
    assert says in str(caught.value)
    if kind is PassFailed:
        assert str(caught.value).startswith(f"r.yaml:4: pass broken({f'how={how!r}' if how != 'raises' else ''}) after scale failed: ")
        assert isinstance(caught.value.__cause__, ValueError) == (how == "raises")
        assert len(str(caught.value)) < 600
    assert [file.name for file in out.iterdir()] == ["m.onnx"]
    assert kept.read_bytes() == b"what was there before"


def test_what_the_source_does_to_made_up_inputs_already_is_not_held_against_the_result(source: Artifact, out: Path) -> None:
    _save(source.path, "zero = Sub(x, x)\n y = MatMul(zero, w)")
    optimize(read_artifact(source.path), [Scale()], target=out / "m.onnx")
    assert (out / "m.onnx").exists()


@pytest.mark.parametrize(
    ("graph", "says"), [("zero = Sub(x, x)\n y = MatMul(zero, w)", "the same"), ("r = Div(x, x)\n y = MatMul(r, w)", "NaN")]
)
def test_a_source_that_says_nothing_about_real_examples_is_refused(source: Artifact, out: Path, graph: str, says: str) -> None:
    _save(source.path, graph)
    with pytest.raises(ModelError, match=f"small.onnx.*{says}"):
        optimize(read_artifact(source.path), [Scale()], target=out / "m.onnx", examples=EXAMPLES)
    assert list(out.iterdir()) == []


def test_a_model_that_cannot_be_tried_is_the_users_to_mend(source: Artifact, out: Path) -> None:
    wrong = {"calibration": Examples("made", {"wrong": np.ones((4, 3), np.float32)})}
    with pytest.raises(DataError, match=r"small\.onnx"):
        optimize(source, [Scale()], target=out / "m.onnx", examples=wrong)
    _save(source.path, "y = NoSuchOperator(x, w)")
    with pytest.raises(ModelError, match="NoSuchOperator"):
        optimize(read_artifact(source.path), [Scale()], target=out / "m.onnx")
    assert list(out.iterdir()) == []


def test_a_pass_without_the_examples_it_needs_does_not_start(source: Artifact, out: Path) -> None:
    Scale.runs.clear()
    with pytest.raises(DataError, match=r"r.yaml:9: the pass demanding needs calibration examples\nhint: .*--data"):
        optimize(source, [Scale(), Demanding()], target=out / "m.onnx", wheres=["r.yaml:8", "r.yaml:9"])
    assert Scale.runs == []


class Complaining(Scale):
    """Says itself where it went wrong."""

    of_what: str | None = Field(None, description="where")

    def edit(self, model: ir.Model, job: Job) -> ir.Model:
        raise UsageError("it cannot be", where=self.of_what)


@pytest.mark.parametrize(
    ("wheres", "of_what", "told"),
    [
        (["r.yaml:3"], "teacher.onnx", "r.yaml:3: teacher.onnx"),
        (["r.yaml:3"], None, "r.yaml:3"),
        (["r.yaml:3"], "r.yaml:3: student", "r.yaml:3: student"),
        ([], "teacher.onnx", "teacher.onnx"),
    ],
)
def test_errors_name_the_line_and_the_place(source: Artifact, out: Path, wheres: list[str], of_what: str | None, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        optimize(source, [Complaining(of_what=of_what)], target=out / "m.onnx", wheres=wheres)
    assert caught.value.where == told


def test_nothing_to_do_is_said(source: Artifact, out: Path) -> None:
    with pytest.raises(UsageError, match="no pass is named"):
        optimize(source, [], target=out / "m.onnx")


def test_outputs_that_must_not_be_written_are_refused_before_any_work(source: Artifact, out: Path) -> None:
    Scale.runs.clear()
    (out / "there.onnx").write_bytes(b"")
    link = out / "link.onnx"
    link.symlink_to(source.path)
    for target, force, says in [
        (out / "there.onnx", False, "the file exists already\nhint: replace it with --force"),
        (source.path, True, "the output is the model that is read"),
        (link, True, "the output is the model that is read"),
        (out, True, "this is a folder, not a file name"),
        (out / "no" / "m.onnx", False, "there is no such folder"),
        (out / "there.onnx" / "m.onnx", False, "this is a file, not a folder"),
    ]:
        with pytest.raises(UsageError, match=says):
            optimize(source, [Scale()], target=target, force=force)
    assert Scale.runs == []


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(source: Artifact, out: Path) -> None:
    out.chmod(0o500)
    with pytest.raises(UsageError, match="no permission to write in this folder"):
        optimize(source, [Scale()], target=out / "m.onnx")


class SavesWeightsBeside(Pass):
    """Writes external data."""

    twice: bool = Field(False, description="other weights")

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        model = Scale(by=2 if self.twice else 1).edit(ir.load(source.path), job)
        ir.save(model, target, external_data=f"{target.name}.data", size_threshold_bytes=0)


def test_weights_beside_the_model_come_and_go_with_it(source: Artifact, out: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    for twice in (False, True, False):  # the third comes from the cache
        made = optimize(source, [SavesWeightsBeside(twice=twice)], target=out / "m.onnx", cache=store, force=True)
        assert sorted(file.name for file in out.iterdir()) == ["m.onnx", "m.onnx.data"]
        assert np.allclose(answer(made.path), answer(source.path) * (2 if twice else 1))
        assert changes(made.path) == []
    chained = optimize(made, [SavesWeightsBeside(), Scale()], target=out / "other.onnx")
    assert np.allclose(answer(chained.path), answer(source.path) * 2)
    assert sorted(file.name for file in out.iterdir()) == ["m.onnx", "m.onnx.data", "other.onnx"]
    optimize(source, [Scale()], target=out / "m.onnx", force=True)
    assert sorted(file.name for file in out.iterdir()) == ["m.onnx", "other.onnx"]


def test_a_model_made_before_keeps_its_steps(source: Artifact, out: Path) -> None:
    optimize(source, [Scale(by=2)], target=out / "a.onnx")
    again = optimize(read_artifact(out / "a.onnx"), [Scale(by=3)], target=out / "b.onnx")
    manifest = read_manifest(again.path)
    assert manifest is not None
    assert [step["parameters"]["by"] for step in manifest["steps"]] == [2, 3]
    assert manifest["source"]["file"] == "a.onnx"
    assert [entry.key for entry in onnx.load(again.path).metadata_props].count("optkit") == 1


CHILD = """
import sys
from pathlib import Path
from optkit.formats import read_artifact
from optkit.optimize import optimize
from optkit.passes import Pass
class Slow(Pass):
    def run(self, source, target, job):
        target.write_bytes(source.path.read_bytes())
        {does}
optimize(read_artifact(Path(sys.argv[1])), [Slow()], target=Path(sys.argv[2]))
"""


def child(does: str, source: Artifact, target: Path) -> subprocess.Popen[str]:
    code = textwrap.dedent(CHILD).format(does=does)
    place = {**os.environ, "PYTHONPATH": str(Path(optkit.__file__).parent.parent)}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(source.path), str(target)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=place
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="processes are not killed this way there")
def test_a_process_killed_outright_leaves_no_model_and_the_next_run_tidies_up(source: Artifact, out: Path) -> None:
    with child("print('here', flush=True); import time; time.sleep(60)", source, out / "m.onnx") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGKILL)
    assert not (out / "m.onnx").exists()
    assert len(list(out.iterdir())) == 1
    optimize(source, [Scale()], target=out / "m.onnx")
    assert [file.name for file in out.iterdir()] == ["m.onnx"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no file size limits there")
def test_a_disk_that_is_full_ends_in_two_lines(source: Artifact, out: Path) -> None:
    grows = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); target.write_bytes(bytes(1000))"
    with child(grows, source, out / "m.onnx") as process:
        _, errors = process.communicate()
    assert "the disk is full, or the quota used up\nhint: free some space" in errors
    assert list(out.iterdir()) == []
