"""The residual CNN for Fashion-MNIST, of any width: the sample model, its teacher and smaller students."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


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
    """uint8 [N, 1, 28, 28] to logits [N, 10]; `widths` are the channels of its three stages."""

    def __init__(self, widths: Sequence[int] = (48, 96, 144)):
        super().__init__()
        self.stem = ConvNorm(1, widths[0], 3, 2)
        self.blocks = nn.Sequential(*map(Block, (widths[0], *widths), widths, (1, 2, 2)))
        self.classify = nn.Linear(widths[-1], 10)

    def forward(self, image):
        return self.classify(self.blocks(torch.relu(self.stem(image.float() / 255))).mean((2, 3)))
