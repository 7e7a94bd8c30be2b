"""Intel Neural Compressor 2.6: the last release line that quantizes ONNX models (3.8 dropped them).

Environment: Python 3.10, pip install neural-compressor==2.6 onnx==1.16.2 onnxruntime==1.18.1 onnxruntime-extensions
"numpy<2" "setuptools<80"
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

Feeds = list[dict[str, Any]]


def quantize(model: Path, feeds: Feeds, output: Path, approach: str) -> None:
    from neural_compressor import PostTrainingQuantConfig, quantization

    config = PostTrainingQuantConfig(approach=approach, calibration_sampling_size=[len(feeds)])
    made = quantization.fit(str(model), config, calib_dataloader=_Loader(feeds) if approach == "static" else None)
    made.save(str(output))


class _Loader:
    batch_size = 1

    def __init__(self, feeds: Feeds) -> None:
        self.feeds = feeds

    def __iter__(self) -> Iterator[tuple[dict[str, Any], int]]:
        return ((feed, 0) for feed in self.feeds)

    def __len__(self) -> int:
        return len(self.feeds)


SETTINGS = {approach: partial(quantize, approach=approach) for approach in ("dynamic", "static")}
