"""Character error rate."""

from collections.abc import Sequence

from optkit.metrics._error_rate import ErrorRate


class CharacterErrorRate(ErrorRate):
    """Characters inserted, left out or replaced per character of truth; of ids each id is a character. Spaces at the ends do not count.

    Labels are text, or ids [examples, length] with -1 behind the end. `character_error_rate_ctc` decodes scores [n, time, classes]
    greedily.
    """

    name = "character_error_rate"

    def split(self, text: str) -> Sequence[str]:
        return list(text.strip())
