"""The TREC questions as MiniLM's tokens, and the splits that recipes name: `sample_models.trec_minilm.data:training`."""

import numpy as np
from tokenizers import Tokenizer

from sample_models.fetch import fetch
from sample_models.trec_transformer.data import EVALUATED, questions

LONGEST = 24
"""Tokens: 97 of 100 questions have no more, and the others are cut."""
SEPARATOR = 102
"""Ids up to this one are no words: padding, [CLS] and the like."""


def training() -> dict[str, np.ndarray]:
    """4,380 questions."""
    return tokens(slice(EVALUATED, None))


def varied() -> dict[str, np.ndarray]:
    """The same 4,380, and two variants of each in which chance puts words of other questions: a teacher answers those as well."""
    known = training()
    return {name: np.concatenate([array, array, array]) for name, array in known.items()} | {"input_ids": with_variants(known)}


def with_variants(known: dict[str, np.ndarray], times: int = 2, most: float = 0.6) -> np.ndarray:
    """The ids, then so many variants of each; between none and `most` of a variant's words, 30 % on average, are other questions'."""
    chance, ids = np.random.default_rng(0), known["input_ids"]
    words = ids[ids > SEPARATOR]
    found = [ids]
    for _ in range(times):
        swapped = (ids > SEPARATOR) & (chance.random(ids.shape) < chance.uniform(0, most, (len(ids), 1)))
        found.append(np.where(swapped, chance.choice(words, ids.shape), ids))
    return np.concatenate(found)


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
