"""MiniLM (the six-layer sentence encoder of `fetch.py minilm_l6`) with a classifier on top, of any number of layers."""

import json

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import embedding, gelu

from sample_models.fetch import fetch

CLASSES = 6


class Layer(nn.Module):
    """Self-attention and a feed-forward network, each added to its input and normalized."""

    def __init__(self, width: int, heads: int, units: int):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.mixed = (nn.Linear(width, width) for _ in range(4))
        self.wide, self.narrow = nn.Linear(width, units), nn.Linear(units, width)
        self.norm_attention, self.norm_output = nn.LayerNorm(width, 1e-12), nn.LayerNorm(width, 1e-12)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x, hidden):
        batch, length, width = x.shape
        q, k, v = (
            part(x).view(batch, length, self.heads, width // self.heads).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        scores = q @ k.transpose(2, 3) / (width // self.heads) ** 0.5 + hidden
        seen = (self.dropout(torch.softmax(scores, -1)) @ v).transpose(1, 2).reshape(batch, length, width)
        x = self.norm_attention(x + self.dropout(self.mixed(seen)))
        return self.norm_output(x + self.dropout(self.narrow(gelu(self.wide(x)))))

    def start_from(self, layer, examples):
        """As a layer with more units in its feed-forward network, of which it keeps those with the largest weights."""
        size = layer.wide.weight.norm(dim=1) * layer.narrow.weight.norm(dim=0)
        kept = size.topk(self.wide.out_features).indices.sort().values
        known = layer.state_dict()
        for name in ("wide.weight", "wide.bias"):
            known[name] = known[name][kept]
        known["narrow.weight"] = known["narrow.weight"][:, kept]
        self.load_state_dict(known)


class TwoBits(nn.Module):
    """Rows of numbers in two bits, four to a byte, with a scale for each row or one for all; they are set, not trained."""

    def __init__(self, rows: int, numbers: int, one_scale: bool = False):
        super().__init__()
        self.register_buffer("packed", torch.zeros(rows, numbers // 4, dtype=torch.uint8))
        self.register_buffer("scale", torch.zeros(1 if one_scale else rows, 1))
        # the four numbers that a byte stands for, before the scale
        self.register_buffer("unpacked", torch.arange(256)[:, None] // SHIFTS % 4 - 1.5, persistent=False)

    def forward(self, rows):
        numbers = embedding(self.packed[rows].long(), self.unpacked).flatten(-2)
        return numbers * (self.scale if len(self.scale) == 1 else self.scale[rows])

    def hold(self, values):
        """Be as near to these rows as any scale allows."""
        kept = values.reshape(len(self.scale), -1)
        size, least = kept.square().mean(1, keepdim=True).sqrt(), torch.inf
        for share in torch.linspace(0.5, 2, 31):
            scale = share * size
            off = ((levels(kept, scale) - 1.5) * scale - kept).square().sum(1, keepdim=True)
            self.scale.copy_(torch.where(off < least, scale, self.scale))
            least = off.clamp_max(least)
        self.packed.copy_((levels(values, self.scale).view(len(values), -1, 4) * SHIFTS).sum(-1))


SHIFTS = torch.tensor([1, 4, 16, 64])


def levels(values, scale):
    """Which of -1.5, -0.5, 0.5 and 1.5 times the scale is nearest: 0 to 3."""
    return (values / scale.clamp_min(1e-12) + 1.5).round().clamp(0, 3)


class SmallTable(nn.Module):
    """A vector for each word in a sixth of the space of one byte a number: narrow ones that a matrix makes wide, and what that leaves out
    of frequent words, both in two bits.
    """

    def __init__(self, words: int, width: int, rank: int, frequent: int):
        super().__init__()
        self.narrow, self.widen = TwoBits(words, rank, one_scale=True), nn.Linear(rank, width)
        self.rest = TwoBits(1 + frequent, width)
        # row 0 of `rest` is for all other words
        self.register_buffer("place", torch.zeros(words, dtype=torch.int32))

    def forward(self, ids):
        return self.widen(self.narrow(ids)) + self.rest(self.place[ids].long())

    def start_from(self, table, examples):
        """Near for the words that the questions use most; the others as near as rank and bits allow."""
        known, rank = table.weight.double(), self.widen.in_features
        used = torch.from_numpy(examples["input_ids"][examples["attention_mask"] > 0])
        frequent = torch.bincount(used, minlength=len(known)).argsort(descending=True, stable=True)[: len(self.rest.scale) - 1]
        self.place[frequent] = torch.arange(1, len(frequent) + 1, dtype=torch.int32)
        others = known[self.place == 0]
        mean = others.mean(0)
        # the eigenvectors of the largest eigenvalues come last
        sums, directions = (each[..., -rank:] for each in torch.linalg.eigh((others - mean).T @ (others - mean)))
        # with all numbers of like size one scale fits them
        spread = (sums / len(others)).sqrt()
        self.narrow.hold((known - mean) @ (directions / spread))
        self.widen.weight.copy_(directions * spread)
        self.widen.bias.copy_(mean)
        left = known[frequent] - self.widen(self.narrow(frequent))
        self.rest.hold(torch.cat([torch.zeros_like(mean)[None], left]))


class Places(nn.Embedding):
    """A vector for each place; a student may know fewer than its teacher."""

    def start_from(self, places, examples):
        self.weight.copy_(places.weight[: len(self.weight)])


class Embeddings(nn.Module):
    """A vector for each token and each place; they are not trained."""

    def __init__(self, words: int, places: int, width: int, rank: int | None, frequent: int):
        super().__init__()
        self.words = nn.Embedding(words, width) if rank is None else SmallTable(words, width, rank, frequent)
        self.places, self.norm = Places(places, width), nn.LayerNorm(width, 1e-12)
        self.dropout = nn.Dropout(0.1)
        self.requires_grad_(False)

    def forward(self, ids):
        return self.dropout(self.norm(self.words(ids) + self.places.weight[: ids.shape[1]]))


class MiniLm(nn.Module):
    """Token ids and mask, int64 [N, length], to logits [N, 6], read off the mean over the tokens."""

    def __init__(
        self,
        layers: int = 6,
        width: int = 384,
        heads: int = 12,
        words: int = 30522,
        places: int = 512,
        units: int | None = None,
        rank: int | None = None,
        frequent: int = 4096,
    ):
        super().__init__()
        self.embeddings = Embeddings(words, places, width, rank, frequent)
        self.layers = nn.ModuleList(Layer(width, heads, units or 4 * width) for _ in range(layers))
        self.mean, self.classify = Mean(), nn.Linear(width, CLASSES)

    def forward(self, input_ids, attention_mask):
        x = self.embeddings(input_ids)
        hidden = (1 - attention_mask[:, None, None, :].to(x.dtype)) * -10000.0
        for layer in self.layers:
            x = layer(x, hidden)
        return self.classify(self.mean(x, attention_mask[:, :, None].to(x.dtype)))


class Mean(nn.Module):
    """Over the tokens that the mask keeps: what the network makes of a whole question, and a hidden state to learn from."""

    def forward(self, x, kept):
        return (x * kept).sum(1) / kept.sum(1)


def pretrained(layers: int = 6) -> MiniLm:
    """The encoder's first layers as published; its classifier has learned nothing yet and is the same every time."""
    folder = fetch("minilm_l6")
    known, config = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = MiniLm(layers, config["hidden_size"], config["num_attention_heads"], config["vocab_size"], config["max_position_embeddings"])
    found = {ours: known[theirs] for ours, theirs in published_names(layers).items()}
    # every token is of type 0: its vector is added once and for all
    found["embeddings.words.weight"] = found["embeddings.words.weight"] + known["embeddings.token_type_embeddings.weight"][0]
    found["classify.weight"] = 0.02 * torch.randn(CLASSES, config["hidden_size"], generator=torch.Generator().manual_seed(0))
    found["classify.bias"] = torch.zeros(CLASSES)
    model.load_state_dict(found)
    return model


def published_names(layers: int) -> dict[str, str]:
    """What a parameter of MiniLm is called in the published file."""
    parts = {"embeddings.words": "embeddings.word_embeddings", "embeddings.places": "embeddings.position_embeddings"}
    names = {f"{ours}.weight": f"{theirs}.weight" for ours, theirs in parts.items()}
    parts = {"embeddings.norm": "embeddings.LayerNorm"}
    for i in range(layers):
        for ours, theirs in IN_A_LAYER.items():
            parts[f"layers.{i}.{ours}"] = f"encoder.layer.{i}.{theirs}"
    return names | {f"{ours}.{kind}": f"{theirs}.{kind}" for ours, theirs in parts.items() for kind in ("weight", "bias")}


IN_A_LAYER = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "mixed": "attention.output.dense",
    "norm_attention": "attention.output.LayerNorm",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
    "norm_output": "output.LayerNorm",
}
