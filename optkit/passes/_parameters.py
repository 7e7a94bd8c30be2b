"""Parameters that several passes take, each said once: its type, its bounds and its description."""

from typing import Annotated, Literal

from pydantic import Field

from optkit.passes._written import Bytes

NodesInFloat = Annotated[
    tuple[str, ...], Field(description="Nodes to leave in float: patterns of names or operators, such as */head/* or Gemm.")
]
LayersWhole = Annotated[tuple[str, ...], Field(description="Layers that stay whole: patterns of names or kinds, such as head or Conv2d.")]
CalibrationSamples = Annotated[int, Field(ge=1, description="Calibration examples to use at most, evenly spaced.")]
CalibrationMemory = Annotated[
    Bytes | None, Field(ge=1, description="Most memory to occupy while calibrating, such as 2GB; None sets no limit.")
]
MaxMemory = Annotated[Bytes | None, Field(ge=1, description="Most memory to occupy, such as 2GB; None sets no limit.")]
MinSqnr = Annotated[
    float | None,
    Field(
        ge=0,
        le=120,
        description="Signal to noise that all outputs must keep, in dB. None: changed answers may cost 1 % by the model's own confidence.",
    ),
]
MaxDrop = Annotated[
    float | None,
    Field(ge=0, lt=1, description="Largest loss relative to the original's score on labelled examples; in place of min_sqnr."),
]
DropMetric = Annotated[str | None, Field(description="The score that max_drop limits: a metric or module:function; None suits the labels.")]
AcceptSizeOnly = Annotated[bool, Field(description="Take a smaller file even if it is slower.")]
Ranges = Annotated[
    Literal["auto", "mse", "min_max", "percentile", "entropy"],
    Field(description="How activation ranges follow from what was seen; auto takes what has the least error for each tensor."),
]
Target = Annotated[
    Literal["portable", "native"],
    Field(description="portable: the same answers on every CPU; native: no weight held back; x86 CPUs without VNNI answer differently."),
]
Regions = Annotated[bool, Field(description="Keep additions, pooling and the like between quantized layers in INT8 too.")]
GroupSize = Annotated[
    Literal[16, 32, 64, 128, 256], Field(description="Weights that share a scale: fewer are more faithful, more smaller.")
]
Symmetric = Annotated[bool, Field(description="No zero points: a little smaller, a little less faithful.")]
Opset = Annotated[int, Field(ge=18, le=23, description="Version of the ONNX operators.")]
DynamicAxes = Annotated[
    dict[str, dict[int, str]] | None,
    Field(description="Axes that vary, by input: {tokens: {0: batch, 1: length}}. Default: those that the inputs name, else axis 0."),
]
Match = Annotated[
    Literal["logits", "values"] | None,
    Field(description="Outputs are scores of classes, or values to be met. Default: as the labels are, or several for one example."),
]
LabelLoss = Annotated[
    str | None,
    Field(description="What labels are learned by: cross_entropy, binary_cross_entropy, mean_squared_error or module:function."),
]
