"""Trains a wide residual CNN on Fashion-MNIST, as a teacher for smaller ones, and writes weights.safetensors beside this file.

    python -m sample_models.fashion_teacher.train        about 45 minutes on one core; needs optkit[torch]

The network is `sample_models.fashion_cnn.network:FashionCnn` with widths 64, 128 and 256.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_model
from torch import nn
from torch.nn.functional import cross_entropy, pad

from sample_models.fashion_cnn.data import read
from sample_models.fashion_cnn.network import FashionCnn

HERE = Path(__file__).parent
WIDTHS = (64, 128, 256)
EPOCHS, BATCH, RATE, SMOOTHING = 12, 128, 0.2, 0.05
SHIFT = 2
"""Pixels that an image is moved by at most, up and down and sideways."""


def moved(images: torch.Tensor) -> torch.Tensor:
    """Every image mirrored or not, and the batch moved by up to SHIFT pixels."""
    mirrored = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images, images.flip(3))
    down, right = (int(torch.randint(2 * SHIFT + 1, ())) for _ in range(2))
    height, width = images.shape[2:]
    return pad(mirrored, (SHIFT,) * 4)[:, :, down : down + height, right : right + width]


def train(images: np.ndarray, labels: np.ndarray) -> nn.Module:
    model = FashionCnn(WIDTHS)
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9, weight_decay=5e-4, nesterov=True)
    batches = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * batches)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(images))[: batches * BATCH].reshape(batches, BATCH)
        for rows in order:
            x, y = torch.from_numpy(images[rows]), torch.from_numpy(labels[rows]).long()
            loss = cross_entropy(model(moved(x)), y, label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {EPOCHS}: last loss {loss.item():.3f}", flush=True)
    return model.eval()


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = train(*read("train"))
    save_model(model, str(HERE / "weights.safetensors"))
    images, labels = read("t10k")
    with torch.inference_mode():
        said = torch.cat([model(part).argmax(1) for part in torch.from_numpy(images).split(500)])
    print(f"top-1 of 10,000 test images: {(said.numpy() == labels).mean():.4f}")


if __name__ == "__main__":
    main()
