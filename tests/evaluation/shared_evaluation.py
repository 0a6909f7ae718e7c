"""The same evaluation in one process, in two, and in three of which one is killed; after one import.

python -m tests.evaluation.shared_evaluation FOLDER OPTIONS ...    writes FOLDER/one, two and killed
"""

import os
import signal
import sys

from frugalrl.cli import main
from frugalrl.evaluation import runner
from frugalrl.verify.answers import configure_default_pool
from tests.training.distributed.forking import fork

DRAW = runner.judged_samples


def killed_in_its_second_part(*arguments):
    """The last process is killed when it begins its second part of the work."""
    if calls and os.environ["RANK"] == "2":
        os.kill(os.getpid(), signal.SIGKILL)
    calls.append(1)
    return DRAW(*arguments)


if __name__ == "__main__":
    folder, *options = sys.argv[1:]
    calls: list[int] = []
    configure_default_pool(1, 2.0, None)
    main(["eval", *options, "--out", f"{folder}/one"])  # first: what it imports, the forked ones have
    two = fork(2, lambda: main(["eval", *options, "--out", f"{folder}/two"]))
    runner.judged_samples = killed_in_its_second_part
    killed = fork(3, lambda: main(["eval", *options, "--out", f"{folder}/killed"]))
    sys.stdout.write(f"codes {two} {killed}\n")
