"""Word error rate."""

from collections.abc import Sequence

from optkit.metrics._error_rate import ErrorRate


class WordErrorRate(ErrorRate):
    """Words inserted, left out or replaced per word of truth: of text the words between spaces, of ids each id is a word.

    Labels are text, or ids [examples, length] with -1 behind the end. `word_error_rate_ctc` decodes scores [n, time, classes] greedily.
    """

    name = "word_error_rate"

    def split(self, text: str) -> Sequence[str]:
        return text.split()
