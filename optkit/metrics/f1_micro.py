"""F1 of all answers together."""

from optkit.metrics.f1_macro import F1Macro


class F1Micro(F1Macro):
    """2·TP / (2·TP + FP + FN), counted over all classes; labels as for f1_macro. With one class per example this is top1."""

    name = "f1_micro"
    summary = "f1_micro"
