"""Fashion-MNIST's images and labels, and the splits that recipes name: `sample_models.fashion_cnn.data:training`."""

import gzip
from pathlib import Path

import numpy as np

from sample_models.fetch import fetch


def read(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 1, 28, 28] and labels uint8 [N] from the IDX files of the package."""
    stem = fetch("fashion_mnist") / split
    images = np.frombuffer(gzip.decompress(Path(f"{stem}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress(Path(f"{stem}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return images.reshape(-1, 1, 28, 28), labels


def training() -> dict[str, np.ndarray]:
    """All 60,000 training images."""
    images, labels = read("train")
    return {"image": images, "labels": labels}


def evaluation() -> dict[str, np.ndarray]:
    """All 10,000 test images."""
    images, labels = read("t10k")
    return {"image": images, "labels": labels}
