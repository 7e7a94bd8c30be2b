"""A process that runs one model for another that asks for it: `python -m optkit.timing._worker REQUEST`.

REQUEST is JSON: model, feeds (a file of `store_feeds`), all_feeds (whether none may be left out), device, threads, clock, and factories
(whose code may make a PyTorch model).
Then each line on stdin is a wish (`open`, `block` with feed and repeats, `close`) and each line on stdout its answer, both JSON.
"""

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from optkit.errors import OptkitError
from optkit.formats.torch_origin import trusting
from optkit.runtimes import Session, open_session
from optkit.timing.lanes import Here, opener
from optkit.timing.processes import REFUSED, stored_feeds, told


def serve(asked: dict[str, Any], wishes: TextIO, answers: TextIO) -> None:
    """Answer wishes until there are no more. Raises as `open_session` and `bind` do."""
    feeds = stored_feeds(Path(asked["feeds"]))

    def opened() -> Session:
        return open_session(Path(asked["model"]), asked["device"], asked["threads"])

    lane = Here(opener(opened, feeds, all_feeds=asked["all_feeds"]), asked["clock"])
    for line in wishes:
        wish, answer = json.loads(line), {}
        match wish["do"]:
            case "open":
                answer = {"once": lane.open(), "feeds": lane.feeds}
            case "block":
                answer = {"times": lane.block(wish["feed"], wish["repeats"]).tolist(), "cpu": lane.cpu}
            case "close":
                lane.close()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main(request: str) -> int:
    """Do what `request` says; the exit code."""
    asked = json.loads(request)
    # what libraries print must not stand between the answers
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers, ExitStack() as trust:
        os.dup2(2, 1)
        try:
            for factory, folder in asked["factories"]:
                trust.enter_context(trusting(factory, folder=folder))
            serve(asked, sys.stdin, answers)
        except OptkitError as error:
            print(told(error), file=sys.stderr)
            return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
