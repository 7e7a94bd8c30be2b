"""How a question becomes token ids: WordPiece. A frequent word is one token, a rare one takes several pieces."""

import re
from collections import Counter
from typing import Any

import numpy as np

LONGEST = 40
PAD, UNKNOWN, START = range(3)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]")


def split(text: str) -> list[str]:
    """Words and runs of punctuation, in lower case."""
    return re.findall(r"\w+|[^\w\s]+", text.lower())


def build_vocabulary(texts: list[str]) -> dict[str, int]:
    """Every character, words that occur three times, and beginnings and endings shared by ten different words."""
    words = Counter(word for text in texts for word in split(text))
    characters = sorted({character for word in words for character in word})
    parts: Counter[str] = Counter()
    for word in words:
        parts.update(word[:length] for length in range(2, min(7, len(word))))
        parts.update("##" + word[-length:] for length in range(2, min(6, len(word))))
    frequent = [word for word, count in words.most_common() if count >= 3]
    shared = sorted(part for part, count in parts.items() if count >= 10)
    pieces = dict.fromkeys([*SPECIAL, *characters, *("##" + character for character in characters), *frequent, *shared])
    return {piece: i for i, piece in enumerate(pieces)}


def pieces_of(word: str, vocabulary: dict[str, int]) -> list[int]:
    """The longest piece that fits first, then the longest that goes on from there."""
    ids, start = [], 0
    while start < len(word):
        mark = "##" if start else ""
        end = next((end for end in range(len(word), start, -1) if mark + word[start:end] in vocabulary), None)
        if end is None:
            return [UNKNOWN]
        ids.append(vocabulary[mark + word[start:end]])
        start = end
    return ids


def encode(texts: list[str], vocabulary: dict[str, int]) -> dict[str, np.ndarray]:
    """Ids and mask, int64 [N, LONGEST]; a longer question is cut."""
    ids = np.full((len(texts), LONGEST), PAD, np.int64)
    for row, text in zip(ids, texts, strict=True):
        tokens = [START, *(i for word in split(text) for i in pieces_of(word, vocabulary))][:LONGEST]
        row[: len(tokens)] = tokens
    return {"input_ids": ids, "attention_mask": (ids != PAD).astype(np.int64)}


def tokenizer_json(vocabulary: dict[str, int]) -> dict[str, Any]:
    """What `encode` does, in the format of the `tokenizers` library."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    template = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    return {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": LONGEST, "strategy": "LongestFirst", "stride": 0},
        "padding": None,
        "added_tokens": [{"id": i, "content": word, "special": True, **flags} for i, word in enumerate(SPECIAL)],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": template,
            "pair": template,
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [START], "tokens": ["[CLS]"]}},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    }
