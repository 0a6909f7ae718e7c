"""One side of one case, in a process of its own: `python worker.py SIDE CASE.json MODEL`.

It says `ready` after one unmeasured run, then runs once for each line it reads, and answers with tokens, seconds of
wall clock and of this process's processor time, as JSON. Only the standard library is imported before the side.
"""

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rollout_parts.sides import SIDES
from rollout_parts.work import Case


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def answer(**fields: object) -> None:
    """A line for the parent; a library may write to stdout too, so it is marked."""
    sys.stdout.write("@" + json.dumps(fields) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Load, warm up, and run on demand."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    side, case, folder = sys.argv[1], Case(**json.loads(sys.argv[2])), Path(sys.argv[3])
    started = time.perf_counter()
    run = SIDES[side](case, folder)
    run()
    versions = {"torch": torch.__version__}
    for name in ("transformers", "vllm", "frugalrl"):
        if name in sys.modules:
            versions[name] = str(getattr(sys.modules[name], "__version__", "source"))
    answer(ready=True, seconds=time.perf_counter() - started, versions=versions)
    for _ in sys.stdin:
        before, start = cpu_seconds(), time.perf_counter()
        tokens = run()
        answer(tokens=tokens, seconds=time.perf_counter() - start, cpu_seconds=cpu_seconds() - before)


if __name__ == "__main__":
    main()
