"""Trains a residual CNN on Fashion-MNIST and writes model.onnx, calibration.npz and evaluation.npz beside this file.

    python -m sample_models.fashion_cnn.train        about 10 minutes on one core; needs optkit[torch]

The model takes grey images as bytes: uint8 [N, 1, 28, 28], and scales them itself. It calibrates on 512 of the 60,000 training
images and is evaluated on the first 5,000 of the 10,000 test images, which took no part in training.
"""

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sample_models.export import export
from sample_models.fetch import fetch

HERE = Path(__file__).parent
WIDTHS = (48, 96, 144)
EPOCHS, BATCH, RATE = 6, 128, 0.2


class ConvNorm(nn.Module):
    """A convolution and its batch normalization; `fold` makes one convolution of the two."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def fold(self):
        self.conv, self.norm = fuse_conv_bn_eval(self.conv, self.norm), nn.Identity()

    def forward(self, x):
        return self.norm(self.conv(x))


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.first, self.second = ConvNorm(inputs, outputs, 3, stride), ConvNorm(outputs, outputs, 3, 1)
        self.shortcut = ConvNorm(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


class FashionCnn(nn.Module):
    """uint8 [N, 1, 28, 28] to logits [N, 10]."""

    def __init__(self):
        super().__init__()
        self.stem = ConvNorm(1, WIDTHS[0], 3, 2)
        self.blocks = nn.Sequential(*map(Block, (WIDTHS[0], *WIDTHS), WIDTHS, (1, 2, 2)))
        self.classify = nn.Linear(WIDTHS[-1], 10)

    def forward(self, image):
        return self.classify(self.blocks(torch.relu(self.stem(image.float() / 255))).mean((2, 3)))


def read(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 1, 28, 28] and labels uint8 [N] from the IDX files of the package."""
    stem = fetch("fashion_mnist") / split
    images = np.frombuffer(gzip.decompress(Path(f"{stem}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress(Path(f"{stem}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return images.reshape(-1, 1, 28, 28), labels


def train(images: np.ndarray, labels: np.ndarray) -> nn.Module:
    model = FashionCnn()
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9, weight_decay=5e-4, nesterov=True)
    batches = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * batches)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(images))[: batches * BATCH].reshape(batches, BATCH)
        for rows in order:
            x, y = torch.from_numpy(images[rows]), torch.from_numpy(labels[rows]).long()
            mirrored = torch.where(torch.rand(BATCH, 1, 1, 1) < 0.5, x, x.flip(3))
            loss = cross_entropy(model(mirrored), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {EPOCHS}: last loss {loss.item():.3f}", flush=True)
    return model.eval()


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    images, labels = read("train")
    model = train(images, labels)
    for part in model.modules():
        if isinstance(part, ConvNorm):
            part.fold()
    export(model, {"image": torch.zeros(2, 1, 28, 28, dtype=torch.uint8)}, ("batch",), "logits", HERE / "model.onnx")

    some = np.random.default_rng(0).choice(len(images), 512, replace=False)
    np.savez_compressed(HERE / "calibration.npz", image=images[some], labels=labels[some])
    images, labels = read("t10k")
    np.savez_compressed(HERE / "evaluation.npz", image=images[:5000], labels=labels[:5000])


if __name__ == "__main__":
    main()
