"""Static INT8 whose weights and ranges are trained while they are rounded, so that the network makes up for the rounding."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_serializer

from optkit.artifact import Artifact
from optkit.errors import DataError, NothingPaid, UsageError
from optkit.formats import format_of
from optkit.passes import Job
from optkit.passes._learned import tell
from optkit.passes._networks import digest_of_any, load_file
from optkit.passes._parameters import CalibrationMemory, LabelLoss, Match, NodesInFloat, Regions, Target
from optkit.passes._trains import TrainingPass, recipe_folder

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

    from optkit.datasets import Examples
    from optkit.training import TrainingOutcome
    from optkit.training.learning_from import LearningFrom
    from optkit.training.teachers import Remembering


class QuantizeAware(TrainingPass):
    """Trains an ONNX model as the static INT8 model that it becomes, to answer as it did in float. Needs training examples, no labels."""

    revision: ClassVar[int] = 8
    takes: ClassVar[str | tuple[str, ...]] = "onnx"
    gives: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("torch",)
    paths: ClassVar[tuple[str, ...]] = ("teacher",)

    epochs: int = Field(5, ge=1, le=100_000, description="How often every training example is seen.")
    learning_rate: float = Field(5e-5, gt=0, allow_inf_nan=False, description="Its highest value: it rises to it, then falls as a cosine.")
    metric: str | None = Field(None, description="What epochs are chosen by. Default: the loss, which tells more apart than a score.")
    mixed_precision: Literal["auto", "no"] = Field("auto", description="Always no: 16 bits would round otherwise than the INT8 model does.")
    learn_ranges: bool = Field(False, description="Train the scales of activations and weights too, instead of leaving them as calibrated.")
    label_share: float = Field(0.0, ge=0, le=1, description="Weight of the labels beside the float model's answers.")
    teacher: str | None = Field(
        None, description="Model whose answers are learned. Default: the float model that comes in, else what the chain started from."
    )
    temperature: float = Field(
        2.0, gt=0, le=100, description="Softens the scores of both: higher shows more of how the float model doubts."
    )
    loss: LabelLoss = None
    match: Match = None
    ranges: Literal["auto", "mse", "min_max", "percentile", "entropy"] = Field(
        "auto", description="How activation ranges to start from follow from what was seen, as in quantize_static."
    )
    samples: int = Field(128, ge=1, description="Training examples to calibrate with at most, evenly spaced.")
    max_memory: CalibrationMemory = None
    exclude: NodesInFloat = ()
    target: Target = "portable"
    regions: Regions = True

    @field_serializer("teacher", when_used="json")
    def _name_only(self, teacher: str | None) -> object:
        return None if teacher is None else Path(teacher).name

    def functions(self) -> tuple[str | None, ...]:
        return (*super().functions(), self.loss)

    def depends(self, original: str) -> Mapping[str, str]:
        return {**super().depends(original), "teacher": original if self.teacher is None else digest_of_any(Path(self.teacher))}

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        """Raises NothingPaid where a model that was INT8 before did not get better, ModelError where PyTorch cannot follow the graph."""
        from optkit.formats.onnx import load_model, save_model
        from optkit.passes._held_out import HeldOut, check_alike
        from optkit.passes._onnx_teacher import OnnxTeacher
        from optkit.training import train
        from optkit.training.graph import is_quantized, keeps_zeros, make_trainable, put_back

        examples = self._examples(job)
        model = load_model(source.path)
        quantized = is_quantized(model)
        held_out = HeldOut(examples, self.validation, job.seed, self.metric, self.output, self.batch_size)
        teacher = self._teacher(source, quantized, job)
        start = model if quantized else self._static(model, held_out.learned, job)
        module = make_trainable(start, learn_ranges=self.learn_ranges, portable=self.target == "portable")
        with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
            plain = Path(folder) / "plain.onnx"
            save_model(start, plain)
            check_alike(module, plain, examples)
            loss = self._loss(module, teacher, job)
            how = self.model_copy(update={"metric": self.metric or "loss", "mixed_precision": "no"})
            zeros = None if quantized else keeps_zeros(module, model)
            outcome = train(module, loss, examples, how, job, after_step=zeros, folder=recipe_folder())
            made = put_back(module)
            save_model(made, target)
            asked = {"float": teacher.teacher, "static": OnnxTeacher(plain, job.threads), "trained": OnnxTeacher(target, job.threads)}
            found = held_out.compare(asked, loss)
        tell(outcome, job)
        job.note("held out, in ONNX Runtime", found)
        job.note("trained and shipped alike, dB", check_alike(module, target, examples))
        if found and not held_out.better(found):
            self._settle(quantized, outcome, job)
            made = start
            save_model(made, target)
        self._note(made, held_out.learned, job)

    def _examples(self, job: Job) -> "Examples":
        examples = job.examples
        if examples is None or examples.synthetic:
            raise DataError("training needs real examples", hint="give data: {training: FILE}: one array for each model input")
        if examples.labels is None and self.label_share:
            raise DataError("label_share needs labels, and the data has none", hint="add an array 'labels', or leave label_share out")
        return examples

    def _static(self, model: "ir.Model", examples: "Examples", job: Job) -> "ir.Model":
        """Plain static INT8, which training starts from; only what is learned from is calibrated on."""
        from optkit.passes.quantize_static import QuantizeStatic

        plain = QuantizeStatic(
            ranges=self.ranges,
            samples=self.samples,
            max_memory=self.max_memory,
            exclude=self.exclude,
            target=self.target,
            regions=self.regions,
        )
        return plain.edit(model, replace(job, examples=examples))

    def _teacher(self, source: Artifact, quantized: bool, job: Job) -> "Remembering":
        from optkit.passes._onnx_teacher import OnnxTeacher
        from optkit.training.teachers import Remembering, Teacher, TorchTeacher

        path = Path(self.teacher) if self.teacher is not None else job.original.path if quantized else source.path
        if quantized and self.teacher is None and job.original.digest == source.digest:
            what = "it is INT8 already, and nothing says which float model it was made from"
            raise UsageError(what, hint="say teacher: FILE, or put quantize_aware where the float model comes in")
        teacher: Teacher
        if format_of(path) == "onnx":
            teacher = OnnxTeacher(path, self.training_threads)
        else:
            model = load_file(path)
            teacher = TorchTeacher(model.module, model.origin.outputs)
        assert job.examples is not None
        return Remembering(teacher, job.examples, self.mask)

    def _loss(self, module: "torch.nn.Module", teacher: "Remembering", job: Job) -> "LearningFrom":
        from optkit.training.learning_from import LearningFrom, Mix
        from optkit.training.losses import label_loss

        assert job.examples is not None
        mix = Mix(self.temperature, self.label_share, self.match, self.output, {}, {}, 0.0, 0.0)
        labels = label_loss(self.loss, self.output, recipe_folder())
        loss = LearningFrom(teacher, module, (), job.examples, labels, mix, job.seed)
        if self.augment is None:
            teacher.remember("cpu", job.progress)
        return loss

    def _settle(self, quantized: bool, outcome: "TrainingOutcome", job: Job) -> None:
        """Training did not help: plain static INT8 is what is left, which is nothing new where it came in."""
        epochs = outcome.epochs[-1].number
        what = f"{epochs} epoch{'s' if epochs > 1 else ''} of training made nothing better on {outcome.held_out} examples held out"
        if quantized:
            raise NothingPaid(what, hint="lower learning_rate, train on more data, or leave quantize_aware out")
        job.note("remarks", [*job.notes.get("remarks", []), f"{what}: this is plain static INT8, as quantize_static makes it"])

    def _note(self, made: "ir.Model", examples: "Examples", job: Job) -> None:
        """What quantize_static notes, of the model as it was trained."""
        from optkit.quantization.calibration.note import NOTE, calibration_note
        from optkit.quantization.calibration.watcher import Watcher
        from optkit.quantization.integer_graph.instruction_sets import safe_on

        job.note("safe_on", list(safe_on(made)))
        if seen := calibration_note(made, Watcher(examples.spread(self.samples), job.threads, self.max_memory)):
            job.note(NOTE, seen)
