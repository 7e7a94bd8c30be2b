"""The TREC questions as MiniLM's tokens, and the splits that recipes name: `sample_models.trec_minilm.data:training`."""

import numpy as np
from tokenizers import Tokenizer

from sample_models.fetch import fetch
from sample_models.trec_transformer.data import EVALUATED, questions

LONGEST = 24
"""Tokens: 97 of 100 questions have no more, and the others are cut."""


def training() -> dict[str, np.ndarray]:
    """4,380 questions."""
    return tokens(slice(EVALUATED, None))


def evaluation() -> dict[str, np.ndarray]:
    """1,000 others."""
    return tokens(slice(EVALUATED))


def tokens(rows: slice) -> dict[str, np.ndarray]:
    """Ids and mask, int64 [N, LONGEST], and the classes of those questions."""
    texts, labels = questions()
    tokenizer = Tokenizer.from_file(str(fetch("minilm_l6") / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST)
    tokenizer.enable_padding(length=LONGEST)
    split = tokenizer.encode_batch(texts[rows])
    feeds = {"input_ids": [each.ids for each in split], "attention_mask": [each.attention_mask for each in split]}
    return {name: np.array(values, np.int64) for name, values in feeds.items()} | {"labels": labels[rows]}
