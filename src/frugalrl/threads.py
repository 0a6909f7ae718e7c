"""How many threads torch computes with, and how they wait; chosen before torch is loaded, and imports no torch.

torch's threads are libgomp's. Between parallel parts they spin, by default for long enough that on a busy machine two
of them are many times slower than one: each takes the core that the other needs. `GOMP_SPINCOUNT` bounds that (1,000
turns, some microseconds; measured in docs/lab-log.md). Their number is that of the cores of this process, as torch's
own default, but where a control group (a container, a job) grants less processor time than there are cores. What the
user has set stays.

The number of threads decides in which order sums are made, so it decides the last digits, but for small models in fp32
(`lanes.py`); how they wait does not.
"""

import os
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path

SPIN_COUNT = "1000"
_ROOT = Path("/")


def settle_threads(environ: MutableMapping[str, str] | None = None, root: Path = _ROOT) -> None:
    """Set what is not set, in `os.environ` by default. Without effect on a torch that is loaded already."""
    chosen = os.environ if environ is None else environ
    if "OMP_WAIT_POLICY" not in chosen:
        chosen.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    granted = granted_cores(root)
    if granted < own_cores():
        chosen.setdefault("OMP_NUM_THREADS", str(granted))


def own_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def granted_cores(root: Path = _ROOT) -> int:
    """The whole cores whose time this process gets: fewer than its own where a control group has a quota."""
    return max(1, min(own_cores(), int(min(_quotas(root), default=own_cores()))))


def threads_line(root: Path = _ROOT) -> str:
    """What was chosen, for the head of a run. Needs a loaded torch."""
    threads, cores = sys.modules["torch"].get_num_threads(), own_cores()
    quota = min(_quotas(root), default=cores)
    granted = f", {quota:g} of which a quota grants" if quota < cores else ""
    waiting = "; they wait for each other, so fewer are faster" if threads > max(1, min(quota, cores)) else ""
    return (
        f"Threads: {threads}, of {cores} core{'s' * (cores != 1)}{granted}{waiting}; "
        "OMP_NUM_THREADS sets another number, and other last digits but for small models in fp32."
    )


def _quotas(root: Path) -> Iterator[float]:
    """In cores: of the control groups that this process is in, whose folders may not all be seen in a container."""
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            place = Path(group.lstrip("/"))
            for below in (place, *place.parents):
                if not controllers:
                    yield from _quota(root / "sys/fs/cgroup" / below / "cpu.max")
                elif "cpu" in controllers.split(","):
                    folder = root / "sys/fs/cgroup/cpu" / below
                    yield from _quota(folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")


def _quota(*files: Path) -> Iterator[float]:
    """Time in a period: in one file (version 2, "max" for none) or two (version 1, -1 for none)."""
    with suppress(OSError, ValueError):
        granted, period = (int(word) for file in files for word in file.read_text(encoding="ascii").split())
        if granted > 0:
            yield granted / period
