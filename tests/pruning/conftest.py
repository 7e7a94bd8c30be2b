"""Small networks whose factory a test may name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from optkit.needs import has

NETS = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.norm = nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width)
        self.second = nn.Conv2d(2 * width, width, 3, padding=1)

    def forward(self, x):
        return torch.relu(self.second(torch.relu(self.norm(self.first(x)))) + x)

class Net(nn.Module):
    def __init__(self, width=16, classes=3):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm = nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(Block(width), Block(width))
        self.head = nn.Linear(width, classes)

    def forward(self, image):
        return self.head(self.blocks(torch.relu(self.norm(self.stem(image)))).mean((2, 3)))

class Attention(nn.Module):
    def __init__(self, width, heads, fused):
        super().__init__()
        self.num_heads, self.head_dim, self.fused = heads, width // heads, fused
        if fused:
            self.qkv = nn.Linear(width, 3 * width)
        else:
            self.q, self.k, self.v = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        rows, length, _ = x.shape
        if self.fused:
            q, k, v = self.qkv(x).reshape(rows, length, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        else:
            q, k, v = (part(x).view(rows, length, self.num_heads, self.head_dim).transpose(1, 2) for part in (self.q, self.k, self.v))
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(rows, length, self.num_heads * self.head_dim))

class Tokens(nn.Module):
    def __init__(self, width=32, heads=4, fused=True):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.before, self.attention = nn.Embedding(20, width), nn.LayerNorm(width), Attention(width, heads, fused)
        self.between, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 64), nn.Linear(64, width)
        self.head = nn.Linear(width, 3)

    def forward(self, ids):
        x = self.table(ids)
        x = x + self.attention(self.before(x))
        x = x + self.down(torch.relu(self.up(self.between(x))))
        return self.head(x.mean(1))

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(20, 32)
        self.layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 3)

    def forward(self, ids):
        return self.head(self.layers(self.table(ids)).mean(1))

class Fixed(nn.Module):
    '''The code fixes one size, and an inner one is returned too.'''

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = nn.Linear(4, 16), nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 2)

    def forward(self, x):
        a = self.a(x)
        b = self.b(torch.relu(a)).view(-1, 16)
        return {"features": a, "scores": self.d(torch.relu(self.c(torch.relu(b))))}

class Untraceable(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 16), nn.Linear(16, 2)

    def forward(self, x):
        with torch.no_grad():
            return self.b(torch.from_numpy(self.a(x).numpy()))
"""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Threads of several tests at once wait for each other longer than these networks compute."""
    if has("torch"):
        import torch

        torch.set_num_threads(1)


@pytest.fixture
def nets(users_module: Callable[[str, str], Path]) -> Path:
    return users_module("optkit_pruned_nets", NETS)
