"""Trains a residual CNN on Fashion-MNIST and writes model.onnx, calibration.npz and evaluation.npz beside this file.

    python -m sample_models.fashion_cnn.train        about 10 minutes on one core; needs optkit[torch]

The model takes grey images as bytes: uint8 [N, 1, 28, 28], and scales them itself. It calibrates on 512 of the 60,000 training
images and is evaluated on the first 5,000 of the 10,000 test images, which took no part in training.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from sample_models.export import export
from sample_models.fashion_cnn.data import read
from sample_models.fashion_cnn.network import ConvNorm, FashionCnn

HERE = Path(__file__).parent
EPOCHS, BATCH, RATE = 6, 128, 0.2


def mirrored(images: torch.Tensor) -> torch.Tensor:
    """Every image mirrored or not."""
    return torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images, images.flip(3))


def train(
    model: nn.Module,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    epochs: int = EPOCHS,
    varied: Callable[[torch.Tensor], torch.Tensor] = mirrored,
    smoothing: float = 0.0,
) -> nn.Module:
    """The model, trained with images `varied` anew in each epoch, and labels smoothed so much."""
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9, weight_decay=5e-4, nesterov=True)
    batches = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * batches)
    for epoch in range(epochs):
        order = torch.randperm(len(images))[: batches * BATCH].reshape(batches, BATCH)
        for rows in order:
            x, y = torch.from_numpy(images[rows]), torch.from_numpy(labels[rows]).long()
            loss = cross_entropy(model(varied(x)), y, label_smoothing=smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {epochs}: last loss {loss.item():.3f}", flush=True)
    return model.eval()


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    images, labels = read("train")
    model = train(FashionCnn(), images, labels)
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
