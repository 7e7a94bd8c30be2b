"""Spearman's rank correlation of answers with labels."""

from optkit.metrics.pearson import Pearson


class Spearman(Pearson):
    """The correlation of ranks over all examples of the answer with the label, one number each; ties share their mean rank."""

    name = "spearman"
    summary = "spearman"
