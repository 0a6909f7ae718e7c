"""How many threads torch computes with, and how they wait; chosen before torch is loaded, and imports no torch.

torch's threads are libgomp's. Between parallel parts they spin, by default for long enough that on a busy machine two
of them are many times slower than one: each takes the core that the other needs. `GOMP_SPINCOUNT` bounds that (1,000
turns, some microseconds; measured in docs/lab-log.md). Their number is that of the cores of this process, as torch's
own default, but where a container grants less processor time than there are cores. What the user has set stays.

The number of threads decides in which order sums are made, so it decides the last digits, but for small models in fp32
(`lanes.py`); how they wait does not.
"""

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

SPIN_COUNT = "1000"
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def settle_threads(environ: MutableMapping[str, str] | None = None, quota: Path = _QUOTA) -> None:
    """Set what is not set, in `os.environ` by default. Without effect on a torch that is loaded already."""
    chosen = os.environ if environ is None else environ
    if "OMP_WAIT_POLICY" not in chosen:
        chosen.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    granted = granted_cores(quota)
    if granted < own_cores():
        chosen.setdefault("OMP_NUM_THREADS", str(granted))


def own_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def granted_cores(quota: Path = _QUOTA) -> int:
    """The cores whose time this process gets: fewer than its own where a container has a quota (cgroup v2)."""
    try:
        granted, period = quota.read_text(encoding="ascii").split()
        return max(1, min(own_cores(), int(granted) // int(period)))
    except (OSError, ValueError):  # no cgroup, or no quota ("max")
        return own_cores()


def threads_line() -> str:
    """What was chosen, for the head of a run. Needs a loaded torch."""
    threads = sys.modules["torch"].get_num_threads()
    cores = f"Threads: {threads}, of {own_cores()} cores"
    return f"{cores}; OMP_NUM_THREADS sets another number, and other last digits but for small models in fp32."
