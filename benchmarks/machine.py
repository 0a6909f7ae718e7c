"""What the machine can do, measured in the run whose results are compared with it; and environments for peers.

The matrix rate is that of fp32 products of 1,024 x 1,024; the copy bandwidth that of 256 MB, read and written. Both are
the best of several tries: a limit is what the machine gives when it is left alone.
"""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
_SIDE = 1024
_COPIED_BYTES = 1 << 28


def limits(threads: int, tries: int = 7) -> dict[str, float]:
    """Floating-point operations and bytes a second, and the threads they were measured with."""
    torch.set_num_threads(threads)
    left, right = torch.randn(_SIDE, _SIDE), torch.randn(_SIDE, _SIDE)
    source = torch.ones(_COPIED_BYTES // 4)
    target = torch.empty_like(source)
    product = min(_seconds(lambda: left @ right) for _ in range(3 * tries))
    copy = min(_seconds(lambda: target.copy_(source)) for _ in range(tries))
    return {"threads": threads, "matrix_flops": 2 * _SIDE**3 / product, "copy_bytes": 2 * _COPIED_BYTES / copy}


def _seconds(run: Any) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


class Others:
    """The share of the machine's CPU that other processes take while something is measured; Linux only."""

    def __init__(self) -> None:
        self._wall, self._busy = time.perf_counter(), _busy_seconds()

    def share(self, own_cpu_seconds: float) -> float | None:
        """own_cpu_seconds: what was measured took, children included."""
        busy = _busy_seconds()
        if busy is None or self._busy is None:
            return None
        available = (time.perf_counter() - self._wall) * (os.cpu_count() or 1)
        return max(0.0, busy - self._busy - own_cpu_seconds) / available


def _busy_seconds() -> float | None:
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def description() -> dict[str, Any]:
    """The machine and the interpreter."""
    return {"python": platform.python_version(), "machine": platform.machine(), "cpus": os.cpu_count()}


def environment(name: str, requirements: tuple[str, ...], given: Path | None = None) -> Path:
    """The Python of an environment with a peer in it: a given one, or one that is made under `.bench` once."""
    if given is not None:
        return given
    folder = ROOT / ".bench" / name
    python = folder / "bin" / "python"
    if not (folder / "installed").is_file():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        quiet = ("--quiet", "--disable-pip-version-check")
        subprocess.run([str(python), "-m", "pip", "install", *quiet, *requirements], check=True)
        (folder / "installed").write_text("\n".join(requirements) + "\n", encoding="utf-8")
    return python
