"""onnx-ir and onnxscript log warnings on ordinary models, such as that an operator with two outputs was not folded."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_graph_libraries() -> Iterator[None]:
    """Only what stops them is heard while this is open."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
