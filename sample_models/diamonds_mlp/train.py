"""Trains an MLP to grade the cut of a diamond and writes model.onnx, calibration.npz and evaluation.npz beside this file.

    python -m sample_models.diamonds_mlp.train       about 2 minutes on one core; needs optkit[torch]

The table has 53,940 diamonds in five classes: Fair, Good, Very Good, Premium, Ideal. The model takes a row as it is: float32
[N, 9], in the order of COLUMNS, colour and clarity as their rank from worst to best, and standardizes it itself. 5,000 rows
evaluate; the others train the model, and 512 of those calibrate. A row that occurs twice is used once.
"""

import csv
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from sample_models.export import export
from sample_models.fetch import fetch

HERE = Path(__file__).parent
COLUMNS = ("carat", "color", "clarity", "depth", "table", "price", "x", "y", "z")
CUTS = ["Fair", "Good", "Very Good", "Premium", "Ideal"]
RANKS = {"color": list("JIHGFED"), "clarity": ["I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF"]}
EPOCHS, BATCH, RATE = 40, 256, 3e-3


class DiamondsMlp(nn.Module):
    """float32 [N, 9] to logits [N, 5]."""

    def __init__(self, mean: np.ndarray, deviation: np.ndarray):
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("deviation", torch.from_numpy(deviation))
        self.first, self.second, self.classify = nn.Linear(len(COLUMNS), 256), nn.Linear(256, 256), nn.Linear(256, len(CUTS))

    def forward(self, features):
        x = (features - self.mean) / self.deviation
        return self.classify(torch.relu(self.second(torch.relu(self.first(x)))))


def read() -> tuple[np.ndarray, np.ndarray]:
    """The different rows, float32 [N, 9], and their cut 0..4, uint8 [N], in a fixed random order."""
    with (fetch("diamonds") / "diamonds.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = [[RANKS[name].index(row[name]) if name in RANKS else float(row[name]) for row in rows] for name in COLUMNS]
    features, places = np.unique(np.array(columns, np.float32).T, axis=0, return_index=True)
    labels = np.array([CUTS.index(rows[i]["cut"]) for i in places], np.uint8)
    order = np.random.default_rng(0).permutation(len(features))
    return features[order], labels[order]


def train(features: np.ndarray, labels: np.ndarray) -> nn.Module:
    model = DiamondsMlp(features.mean(0), features.std(0))
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-3)
    batches = len(features) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * batches)
    x, y = torch.from_numpy(features), torch.from_numpy(labels).long()
    for epoch in range(EPOCHS):
        for rows in torch.randperm(len(features))[: batches * BATCH].reshape(batches, BATCH):
            loss = cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {EPOCHS}: last loss {loss.item():.3f}", flush=True)
    return model


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    features, labels = read()
    model = train(features[5000:], labels[5000:])
    export(model, {"features": torch.zeros(2, len(COLUMNS))}, ("batch",), "logits", HERE / "model.onnx")
    np.savez_compressed(HERE / "evaluation.npz", features=features[:5000], labels=labels[:5000])
    np.savez_compressed(HERE / "calibration.npz", features=features[5000:5512], labels=labels[5000:5512])


if __name__ == "__main__":
    main()
