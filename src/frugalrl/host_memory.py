"""A machine's memory in bytes, as Linux's files say it: free, granted to a container, and used by one."""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
"""Of the container that this process is in (cgroup v2)."""


def available_bytes() -> int:
    """Memory that processes of the machine can still get; where the system does not say so, what is not used at all."""
    available = kilobytes_in(Path("/proc/meminfo")).get("MemAvailable")
    if available is not None:
        return 1024 * available
    unused: int = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return unused


def container_limit(cgroup: Path = CGROUP) -> int | None:
    """What a container's processes may have together; None without a limit."""
    file = cgroup / "memory.max"
    text = file.read_text(encoding="ascii").strip() if file.is_file() else ""
    return int(text) if text.isdigit() else None


def container_used(cgroup: Path = CGROUP) -> int:
    """What a container's processes hold, without the system's copies of files."""
    return _numbers_in(cgroup / "memory.stat").get("anon", 0)


def kilobytes_in(file: Path) -> dict[str, int]:
    """By name, of a file like /proc/meminfo or /proc/self/status; empty if there is none."""
    return {name.removesuffix(":"): number for name, number in _numbers_in(file).items()}


def _numbers_in(file: Path) -> dict[str, int]:
    """Of a file with a name and a number a line; other lines are left out."""
    parts = [line.split() for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []
    return {part[0]: int(part[1]) for part in parts if len(part) > 1 and part[1].isdigit()}
