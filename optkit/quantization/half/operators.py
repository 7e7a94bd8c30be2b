"""What float16 can hold, and operators whose range or precision it is known not to have."""

LARGEST = 65504.0
SMALLEST = 2.0**-24
SMALLEST_NORMAL = 2.0**-14
"""Below it float16 has ever fewer digits."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


PRECISE = _names(
    "CumSum CumProd Cos Det DFT Exp GlobalLpPool Log LpNormalization LpPool LRN MeanVarianceNormalization NegativeLogLikelihoodLoss "
    "Pow ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceProd ReduceSum ReduceSumSquare Sin STFT SoftmaxCrossEntropyLoss "
    "Softplus Tan"
)
"""Sums, powers and angles: their results leave float16's range, or its 11 bits, on ordinary inputs."""

EXACT = _names(
    "Bernoulli BlackmanWindow Cast CastLike ConstantOfShape DequantizeLinear DynamicQuantizeLinear Equal EyeLike Greater GreaterOrEqual "
    "HammingWindow HannWindow Less LessOrEqual MelWeightMatrix Multinomial NonMaxSuppression QuantizeLinear RandomNormal "
    "RandomNormalLike RandomUniform RandomUniformLike Range"
)
"""Comparisons and conversions, whose outcome rounding would turn, and what only makes numbers."""

NORMALIZING = _names(
    "Attention BatchNormalization Div GroupNormalization InstanceNormalization LayerNormalization LogSoftmax ReduceMean "
    "RMSNormalization SkipLayerNormalization Softmax Sqrt Sub"
)
"""Kept in float32 as well on a second try."""

QUANTIZED = _names("QuantizeLinear DequantizeLinear DynamicQuantizeLinear")

CARRYING = _names(
    "Add Concat Div Expand Flatten Gather Identity Max Min Mul Neg Pad Reshape ScatterND Slice Split Squeeze Sub Tile Transpose "
    "Unsqueeze Where"
)
"""Hand on a value that is out of range."""

SATURATING = _names("Clip Max Min")
"""A bound that float16 cannot hold bounds nothing there: the largest number stands for it."""

SQUASHING = _names("HardSigmoid LogSoftmax Sigmoid Softmax")
"""Answers in probabilities: float16 has 2,048 numbers between 0.5 and 1, so near 1 they would all be alike."""

PASSING_ON = _names(
    "ArgMax Clip Concat Flatten Gather Identity Max Min ReduceMax ReduceMean Reshape Slice Split Squeeze TopK Transpose Unsqueeze"
)
"""Stand between an answer and the output."""
