"""Train a small PyTorch model to answer as a large one does."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, field_serializer, model_validator

from optkit.artifact import Artifact
from optkit.errors import DataError, UsageError
from optkit.formats import format_of
from optkit.passes import Job
from optkit.passes._learned import check_gain, tell
from optkit.passes._networks import Network, digest_of_any, load_file, load_network, network_digests
from optkit.passes._onnx_teacher import OnnxTeacher
from optkit.passes._parameters import LabelLoss, Match
from optkit.passes._trains import TrainingPass, recipe_folder
from optkit.training import train
from optkit.training.learning_from import LearningFrom, Mix
from optkit.training.losses import label_loss
from optkit.training.reproducible import same_randomness
from optkit.training.starting import start_from
from optkit.training.teachers import Remembering, Teacher, TorchTeacher

if TYPE_CHECKING:
    from optkit.datasets import Examples
    from optkit.formats.torch import TorchModel

LABEL_SHARE = 0.5


class Distill(TrainingPass):
    """Trains a PyTorch model to answer as a teacher does: by default the model that the chain started from.

    The student is the model that comes in, such as a pruned one, or the network that `student` names.
    """

    revision: ClassVar[int] = 4
    paths: ClassVar[tuple[str, ...]] = ("teacher", "teacher.weights", "student.weights")

    teacher: str | Network | None = Field(
        None, description="An .onnx or .safetensors file, or {factory, arguments, weights}. Default: the model that the chain started from."
    )
    student: Network | None = Field(
        None, description="The network to train: {factory, arguments, weights}. Default: the model that comes in."
    )
    start_from: dict[str, str] = Field(
        {},
        description="Parts that start with the teacher's weights: {student's module: teacher's}, such as {layers.1: layers.3}. A part of "
        "another size says how in a method start_from(part, examples).",
    )
    temperature: float = Field(4.0, gt=0, le=100, description="Softens the scores of both: higher shows more of how the teacher doubts.")
    label_share: float | None = Field(
        None, ge=0, le=1, description="Weight of the labels beside the teacher's answers. Default: 0.5, or 0 where there are no labels."
    )
    loss: LabelLoss = None
    match: Match = None
    hidden: dict[str, str] = Field(
        {}, description="Hidden states to match: {student's module: teacher's}; of an ONNX teacher, tensors. Widths may differ."
    )
    attention: dict[str, str] = Field({}, description="Attention maps, or maps of convolutions, to match: {student's module: teacher's}.")
    hidden_weight: float = Field(1.0, ge=0, allow_inf_nan=False, description="Weight of each pair of hidden states.")
    attention_weight: float = Field(1.0, ge=0, allow_inf_nan=False, description="Weight of each pair of attention maps.")

    @model_validator(mode="after")
    def _learns_something(self) -> Self:
        if self.label_share == 1 and not self.hidden and not self.attention:
            raise ValueError("label_share: 1 learns nothing from the teacher: use the pass finetune")
        return self

    @field_serializer("teacher", when_used="json")
    def _name_only(self, teacher: str | Network | None) -> object:
        return Path(teacher).name if isinstance(teacher, str) else teacher.model_dump(mode="json") if teacher else None

    def functions(self) -> tuple[str | None, ...]:
        return (*super().functions(), self.loss)

    def depends(self, original: str) -> Mapping[str, str]:
        found: dict[str, str] = dict(super().depends(original))
        if isinstance(self.teacher, Network):
            found |= network_digests("teacher", self.teacher)
        else:
            found["teacher"] = original if self.teacher is None else digest_of_any(Path(self.teacher))
        if self.student is not None:
            found |= network_digests("student", self.student)
        return found

    def edit(self, model: "TorchModel", job: Job) -> "TorchModel":
        """Raises NothingPaid where no epoch was better than the student as it came, and whatever `train` and `LearningFrom` raise."""
        assert job.examples is not None, "the runner gives what a pass draws"
        if job.examples.labels is None and self.label_share:
            raise DataError("label_share needs labels, and the data has none", hint="add an array 'labels', or leave label_share out")
        student, taught_by = self._student(model, job.seed), self._teacher(job)
        if self.start_from:
            start_from(student.module, taught_by, self.start_from, job.examples.arrays)
        teacher = Remembering(taught_by, job.examples, self.mask)
        labels = label_loss(self.loss, self.output, recipe_folder())
        loss = LearningFrom(teacher, student.module, student.origin.outputs, job.examples, labels, self._mix(job.examples), job.seed)
        if self.augment is None:
            teacher.remember("cpu", job.progress)
        known, folder = student.origin, recipe_folder()
        outcome = train(student.module, loss, job.examples, self, job, outputs=known.outputs, folder=folder, zeros=known.zeros)
        loss.stop()
        check_gain(outcome)
        job.note("parameters", sum(each.numel() for each in student.module.parameters()))
        tell(outcome, job)
        return student

    def _student(self, model: "TorchModel", seed: int) -> "TorchModel":
        """Whatever its factory draws by chance follows from the seed."""
        if self.student is None:
            return model
        with same_randomness(seed, 4):
            found = load_network(self.student)
        inputs, outputs = found.origin.inputs or model.origin.inputs, found.origin.outputs or model.origin.outputs
        return replace(found, origin=replace(found.origin, inputs=inputs, outputs=outputs))

    def _teacher(self, job: Job) -> Teacher:
        hidden, attention = self.hidden.values(), self.attention.values()
        if isinstance(self.teacher, Network):
            model = load_network(self.teacher)
        else:
            path = job.original.path if self.teacher is None else Path(self.teacher)
            if format_of(path) == "onnx":
                return OnnxTeacher(path, self.training_threads, hidden, attention)
            model = load_file(path)
        return TorchTeacher(model.module, model.origin.outputs, hidden, attention)

    def _mix(self, examples: "Examples") -> Mix:
        share = self.label_share if self.label_share is not None else LABEL_SHARE if examples.labels is not None else 0.0
        return Mix(
            self.temperature, share, self.match, self.output, self.hidden, self.attention, self.hidden_weight, self.attention_weight
        )  # fmt: skip

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        if self.teacher is None and self.student is None and source.digest == job.original.digest:
            hint = "name another teacher or student, or put the pass behind one that changes the model"
            raise UsageError("student and teacher are the same model", where="distill", hint=hint)
        super().run(source, target, job)
