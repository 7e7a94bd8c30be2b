"""The keys of a recipe file, with types, bounds and help: said once, for reading, for messages and for the JSON schema."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from optkit.errors import UsageError
from optkit.units import parse_ratio, parse_seconds


def _people(parse: Callable[[str], float]) -> Callable[[Any], Any]:
    """People's units in text; numbers stay as they are."""

    def read(value: Any) -> Any:
        try:
            return parse(value) if isinstance(value, str) else value
        except UsageError as error:
            raise ValueError(f"{error.what}" + (f" ({error.hint})" if error.hint else "")) from error

    return read


def _listed(value: Any) -> Any:
    """One item stands for a list of one."""
    return tuple(value) if isinstance(value, list) else (value,)


Share = Annotated[float, BeforeValidator(_people(parse_ratio), json_schema_input_type=float | str)]
Time = Annotated[float, BeforeValidator(_people(parse_seconds), json_schema_input_type=float | str), Field(gt=0, le=3600)]
Words = Annotated[tuple[str, ...], BeforeValidator(_listed, json_schema_input_type=str | list[str])]
Count = Annotated[int, Field(ge=1)]
Counts = Annotated[tuple[Count, ...], BeforeValidator(_listed, json_schema_input_type=Count | list[Count])]


class Keys(BaseModel):
    """A section of a recipe: unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelKeys(Keys):
    """A PyTorch model: the code that makes the network, and its weights."""

    factory: str = Field(min_length=1, description="What makes the network: module:callable of your own, timm:NAME or transformers:FOLDER.")
    arguments: dict[str, Any] = Field({}, description="What the factory is called with.")
    weights: str | None = Field(None, description="A .safetensors file or a state dict; without it the network is as the factory makes it.")
    inputs: dict[str, str] = Field(
        {}, description="What it takes, such as {image: 'float32[N, 3, 224, 224]'}; letters are sizes that vary. Default: as the data is."
    )
    outputs: Words = Field((), description="Names for what it returns, in order.")


class DataKeys(Keys):
    """Examples by split. No example should be in two of them."""

    calibration: str | None = Field(None, description="Examples that quantization chooses its ranges with; no labels needed.")
    training: str | None = Field(None, description="Examples to train on, with labels.")
    evaluation: str | None = Field(None, description="Examples to compare original and result on; labels give accuracy.")


class MeasureKeys(Keys):
    """How original and result are compared."""

    devices: Words = Field(("cpu",), min_length=1, description="cpu, cuda, openvino, or the name of any ONNX Runtime provider.")
    batches: Counts = Field((1,), min_length=1, description="Batch sizes to time.")
    threads: int = Field(1, ge=0, le=1024, description="Threads a model may use; 0 leaves it to the runtime.")
    time: Time = Field(10.0, description="How long to time the models on each device at each batch size, such as 10s.")
    precision: Share | None = Field(None, gt=0, lt=1, description="Stop timing as soon as the ratio of times is known to this, such as 1%.")
    compile: bool = Field(False, description="Also time a PyTorch original as torch.compile runs it.")
    metrics: Words = Field((), description="What to score answers with: names, or module:function.")
    output: str | None = Field(None, description="The output that carries the answer, where a model has several.")
    by: Words = Field((), description="What to look at parts of the examples by: label, or columns of the data.")


class GateKeys(Keys):
    """What the result may cost and must gain, relative to the original. What is left out is not limited."""

    max_drop: Share | None = Field(None, ge=0, le=1, description="Largest loss of accuracy, as a share of the original's: 1% or 0.01.")
    min_speedup: float | None = Field(
        None, gt=0, description="1.3 is 1.3 times as fast: by median time, or by throughput where some examples take longer than others."
    )
    max_size: Share | None = Field(None, gt=0, description="Bytes after / before: 0.5 is half the size.")
    min_agreement: Share | None = Field(None, ge=0, le=1, description="Share of examples on which both models must answer alike.")
    max_fallback_nodes: int | None = Field(None, ge=0, description="Most nodes on the CPU, on other devices.")
    strict: bool = Field(False, description="Undecided counts as failed.")
    preset: Literal["mlperf-99", "mlperf-99.9"] | None = Field(
        None, description="A max_drop by name: 99 % or 99.9 % of the original's score is kept."
    )
    baseline: str | None = Field(
        None, description="A report.json: limits are relative to the model in it, not to the original; speeds on the same machine only."
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        limits = (self.max_drop, self.preset, self.min_speedup, self.max_size, self.min_agreement, self.max_fallback_nodes)
        if all(each is None for each in limits):
            raise ValueError("it limits nothing: give max_drop, preset, min_speedup, max_size, min_agreement or max_fallback_nodes")
        return self


class RecipeKeys(Keys):
    """A recipe of optkit. Paths are relative to the recipe file."""

    model: Annotated[str, Field(min_length=1)] | ModelKeys = Field(
        description="The model to start from: an .onnx file, or what makes a PyTorch model."
    )
    data: DataKeys = Field(
        DataKeys(), description="Examples: one source for everything (it is divided), a source for each split, or `synthetic`."
    )
    passes: list[Any] = Field(min_length=1, description="What to do, in order: names of passes, each with its parameters below it.")
    measure: MeasureKeys = Field(MeasureKeys(), description="How original and result are compared.")
    gate: GateKeys | None = Field(None, description="What the result may cost; a broken limit ends with exit code 1.")
    seed: int = Field(0, ge=0, lt=2**32, description="Where randomness starts.")
    output: str | None = Field(None, description="The folder for model and reports; made when it is not there.")
