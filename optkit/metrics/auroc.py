"""Area under the ROC curve."""

from collections.abc import Mapping

import numpy as np

from optkit.arrays import Array
from optkit.errors import DataError
from optkit.metrics import Metric
from optkit.metrics._answer import answer_of, class_scores, is_float, one_label_each, unsuitable


class Auroc(Metric):
    """The score of the positive class, from which the summary takes the chance that a positive stands above a negative.

    With one value per example it is that value; with two classes the second minus the first, which orders examples as the
    probability of the second class does, for logits and for probabilities. Labels are 0 and 1.
    """

    name = "auroc"
    unit = "ratio"
    better = "higher"
    summary = "auroc"
    needs = "labels"

    def score(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> Array:
        answer = answer_of(outputs, self.output)
        labels = one_label_each(self.name, labels, len(answer))
        if not np.isin(labels, (0, 1)).all():
            hint = "use --metric top1 for several classes"
            raise DataError(f"auroc wants labels 0 and 1, the data has {labels[~np.isin(labels, (0, 1))][0]!s}", hint=hint)
        if is_float(answer) and answer[:1].size == 1:
            return answer.reshape(len(answer)).astype(np.float64)
        scores = class_scores(answer)
        if scores is None or scores.shape[1] != 2:
            raise unsuitable(self.name, "one score or two classes per example", outputs, self.output)
        return scores[:, 1].astype(np.float64) - scores[:, 0].astype(np.float64)
