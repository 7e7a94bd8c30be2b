"""onnx-neural-compressor 1.0: Neural Compressor's ONNX part, in a package of its own.

Environment: Python 3.10, pip install onnx-neural-compressor==1.0 onnx==1.16.2 onnxruntime==1.18.1 onnxruntime-extensions "numpy<2"
"setuptools<80" prettytable psutil py-cpuinfo pydantic scipy scikit-learn
"""

from pathlib import Path
from typing import Any

Feeds = list[dict[str, Any]]


def dynamic(model: Path, feeds: Feeds, output: Path) -> None:
    from onnx_neural_compressor.quantization import config, quantize

    quantize(str(model), str(output), config.DynamicQuantConfig())


def static(model: Path, feeds: Feeds, output: Path) -> None:
    from onnx_neural_compressor.data_reader import CalibrationDataReader
    from onnx_neural_compressor.quantization import config, quantize

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rewind()

        def get_next(self) -> dict[str, Any] | None:
            return next(self.left, None)

        def rewind(self) -> None:
            self.left = iter(feeds)

    settings = config.StaticQuantConfig(calibration_data_reader=Reader(), calibration_sampling_size=len(feeds))
    quantize(str(model), str(output), settings)


SETTINGS = {"dynamic": dynamic, "static": static}
