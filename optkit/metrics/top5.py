"""Top-5 accuracy."""

from optkit.metrics.top1 import Top1


class Top5(Top1):
    """1 where the label is among the five classes with the highest scores, else 0; of equals the first come first."""

    def __init__(self, output: str | None = None) -> None:
        super().__init__(output, 5)
