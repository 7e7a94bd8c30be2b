"""How far `optkit inspect --roofline` is off: the gain it predicts of INT8 beside the gain that was measured.

Each pair is a model and what `optkit quantize --int8` made of it, with examples: BEFORE AFTER DATA. Both run in turns on one thread.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from optkit.compare import compare_all
from optkit.datasets import read_examples
from optkit.formats import read_artifact
from optkit.inspection.inspect_model import inspect_model
from optkit.inspection.peaks import measure_peaks
from optkit.inspection.profile import profile_model
from optkit.inspection.roofline import roofline
from optkit.measure import measure
from optkit.runtimes import open_session

EXAMPLES = 16


def main() -> None:
    """Print the table, and by what factor predictions are off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("triples", nargs="+", metavar="BEFORE AFTER DATA")
    parser.add_argument("--seconds", type=float, default=5.0)
    asked = parser.parse_args()
    if len(asked.triples) % 3:
        parser.error("give BEFORE AFTER DATA for each model")
    peaks, off = measure_peaks(), []
    print("| model | INT8 predicted | measured (95 %) | predicted / measured |\n| --- | --- | --- | --- |")
    for i in range(0, len(asked.triples), 3):
        before, after, data = map(Path, asked.triples[i : i + 3])
        examples = read_examples(str(data), open_session(before).inputs).spread(EXAMPLES)
        feed = next(examples.feeds(1))
        found = inspect_model(before, feed=feed)
        under = roofline(replace(found, profile=profile_model(before, examples, fastest=True)), peaks, feed)
        predicted = next(each.speedup for each in under.predictions if each.change == "INT8")
        measured = measure([read_artifact(m) for m in (before, after)], examples, (), seconds=asked.seconds, meters=("latency",))
        (ratio,) = (delta for delta in compare_all(measured)[0].deltas if delta.metric == "latency_median")
        speedup, low, high = (1 / (1 - gain) for gain in (ratio.gain, ratio.low, ratio.high))
        off.append(predicted / speedup)
        print(
            f"| {before.parent.name}/{before.name} | {predicted:.2f}× | {speedup:.2f}× ({low:.2f} to {high:.2f}) | {off[-1]:.2f} |",
            flush=True,
        )
    print(
        f"\nOff by a factor of {np.exp(np.mean(np.abs(np.log(off)))):.2f} on average, of {np.exp(np.max(np.abs(np.log(off)))):.2f} at most."
    )


if __name__ == "__main__":
    main()
