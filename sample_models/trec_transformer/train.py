"""Trains a small transformer to tell what a question asks for and writes model.onnx and its data beside this file.

    python -m sample_models.trec_transformer.train     about 5 minutes on one core; needs optkit[torch]

The data are the TREC questions (Li and Roth, 2002) in six classes: abbreviation, description, entity, human, location, number.
1,000 of the 5,380 different questions evaluate; the others train the model, and 256 of those calibrate. questions.csv holds
the evaluated questions as text, tokenizer.json says how text becomes token ids.
"""

import csv
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, gelu

from sample_models.export import export
from sample_models.trec_transformer.data import EVALUATED, questions
from sample_models.trec_transformer.tokenizer import LONGEST, START, UNKNOWN, build_vocabulary, encode, tokenizer_json

HERE = Path(__file__).parent
WORD, WIDTH, HEADS, LAYERS = 64, 192, 6, 2
EPOCHS, BATCH, RATE = 25, 64, 1e-3


class Layer(nn.Module):
    """Self-attention and a feed-forward network, each added to its input and normalized."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.mixed = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.wide, self.narrow = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(3 * WIDTH, WIDTH)
        self.norm_attention, self.norm_output = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.dropout = nn.Dropout(0.2)

    def forward(self, x, hidden):
        batch, length, _ = x.shape
        q, k, v = (part(x).view(batch, length, HEADS, WIDTH // HEADS).transpose(1, 2) for part in (self.query, self.key, self.value))
        scores = q @ k.transpose(2, 3) / (WIDTH // HEADS) ** 0.5 + hidden
        seen = (self.dropout(torch.softmax(scores, -1)) @ v).transpose(1, 2).reshape(batch, length, WIDTH)
        x = self.norm_attention(x + self.dropout(self.mixed(seen)))
        return self.norm_output(x + self.dropout(self.narrow(gelu(self.wide(x)))))


class TrecTransformer(nn.Module):
    """Token ids and mask, int64 [N, length], to logits [N, 6], read off the first token."""

    def __init__(self, words: int):
        super().__init__()
        self.words, self.widen, self.places = nn.Embedding(words, WORD), nn.Linear(WORD, WIDTH), nn.Embedding(LONGEST + 1, WIDTH)
        self.norm, self.dropout = nn.LayerNorm(WIDTH), nn.Dropout(0.3)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.classify = nn.Linear(WIDTH, 6)

    def forward(self, input_ids, attention_mask):
        x = self.widen(self.words(input_ids)) + self.places(attention_mask.cumsum(1))
        x = self.dropout(self.norm(x))
        hidden = (1 - attention_mask[:, None, None, :].float()) * -10000.0
        for layer in self.layers:
            x = layer(x, hidden)
        return self.classify(self.dropout(x[:, 0]))


def train(feeds: dict[str, np.ndarray], labels: np.ndarray, words: int) -> nn.Module:
    model = TrecTransformer(words)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    batches = len(labels) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * batches)
    for epoch in range(EPOCHS):
        for rows in torch.randperm(len(labels))[: batches * BATCH].reshape(batches, BATCH):
            longest = feeds["attention_mask"][rows].sum(1).max()
            ids, mask = (torch.from_numpy(feeds[name][rows, :longest]) for name in ("input_ids", "attention_mask"))
            forgotten = (torch.rand(ids.shape) < 0.1) & (ids > START)
            loss = cross_entropy(model(ids.masked_fill(forgotten, UNKNOWN), mask), torch.from_numpy(labels[rows]), label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {EPOCHS}: last loss {loss.item():.3f}", flush=True)
    return model


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    texts, labels = questions()
    vocabulary = build_vocabulary(texts[EVALUATED:])
    feeds = encode(texts, vocabulary)
    model = train({name: array[EVALUATED:] for name, array in feeds.items()}, labels[EVALUATED:], len(vocabulary))

    two = torch.ones(2, 12, dtype=torch.int64)
    export(model, {"input_ids": two, "attention_mask": two.clone()}, ("batch", "sequence"), "logits", HERE / "model.onnx")
    for name, rows in (("evaluation", slice(EVALUATED)), ("calibration", slice(EVALUATED, EVALUATED + 256))):
        np.savez_compressed(HERE / f"{name}.npz", labels=labels[rows], **{key: array[rows] for key, array in feeds.items()})
    with (HERE / "questions.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [("text", "label"), *zip(texts[:EVALUATED], labels[:EVALUATED].tolist(), strict=True)]
        )
    (HERE / "tokenizer.json").write_text(json.dumps(tokenizer_json(vocabulary), ensure_ascii=False, indent=0), encoding="utf-8")


if __name__ == "__main__":
    main()
