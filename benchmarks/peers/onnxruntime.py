"""ONNX Runtime's own quantizer: as its documentation calls it, and with the settings that suit x86 best.

Environment: pip install onnxruntime onnx sympy
"""

from functools import partial
from pathlib import Path
from typing import Any

Feeds = list[dict[str, Any]]


def dynamic(model: Path, feeds: Feeds, output: Path, per_channel: bool = False) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(model, output, weight_type=QuantType.QInt8, per_channel=per_channel)


def static(model: Path, feeds: Feeds, output: Path) -> None:
    """All defaults: QDQ, int8 activations, int8 weights, one scale for each weight, smallest and largest values."""
    from onnxruntime.quantization import quantize_static

    quantize_static(model, output, _Reader(feeds))


def static_u8s8(model: Path, feeds: Feeds, output: Path, quant_format: str) -> None:
    """What is fast on x86, and faithful: uint8 activations, int8 weights with a scale for each channel, after its own preparation."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    quantize_static(
        _prepared(model, output),
        output,
        _Reader(feeds),
        quant_format=QuantFormat[quant_format],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _prepared(model: Path, output: Path) -> Path:
    """The model as `quant_pre_process` makes it; without symbolic shapes where those fail, as its message recommends."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = output.with_name("prepared.onnx")
    try:
        quant_pre_process(str(model), str(prepared))
    except Exception:
        quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
    return prepared


class _Reader:
    def __init__(self, feeds: Feeds) -> None:
        self.feeds = iter(feeds)

    def get_next(self) -> dict[str, Any] | None:
        return next(self.feeds, None)


SETTINGS = {
    "dynamic": dynamic,
    "dynamic, per channel": partial(dynamic, per_channel=True),
    "static": static,
    "static U8S8 per channel, QDQ": partial(static_u8s8, quant_format="QDQ"),
    "static U8S8 per channel, QOperator": partial(static_u8s8, quant_format="QOperator"),
}
