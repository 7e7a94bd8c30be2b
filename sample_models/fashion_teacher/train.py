"""Trains a wide residual CNN on Fashion-MNIST, as a teacher for smaller ones, and writes weights.safetensors beside this file.

    python -m sample_models.fashion_teacher.train        about 35 minutes on one core; needs optkit[torch]

The network is `sample_models.fashion_cnn.network:FashionCnn` with widths 64, 128 and 256.
"""

from pathlib import Path

import torch
from safetensors.torch import save_model
from torch.nn.functional import pad

from sample_models.fashion_cnn.data import read
from sample_models.fashion_cnn.network import FashionCnn
from sample_models.fashion_cnn.train import mirrored, train

HERE = Path(__file__).parent
WIDTHS = (64, 128, 256)
EPOCHS, SMOOTHING = 12, 0.05
SHIFT = 2
"""Pixels that an image is moved by at most, up and down and sideways."""


def moved(images: torch.Tensor) -> torch.Tensor:
    """Every image mirrored or not, and the batch moved by up to SHIFT pixels."""
    turned = mirrored(images)
    down, right = (int(torch.randint(2 * SHIFT + 1, ())) for _ in range(2))
    height, width = images.shape[2:]
    return pad(turned, (SHIFT,) * 4)[:, :, down : down + height, right : right + width]


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = train(FashionCnn(WIDTHS), *read("train"), epochs=EPOCHS, varied=moved, smoothing=SMOOTHING)
    save_model(model, str(HERE / "weights.safetensors"))
    images, labels = read("t10k")
    with torch.inference_mode():
        said = torch.cat([model(part).argmax(1) for part in torch.from_numpy(images).split(500)])
    print(f"top-1 of 10,000 test images: {(said.numpy() == labels).mean():.4f}")


if __name__ == "__main__":
    main()
