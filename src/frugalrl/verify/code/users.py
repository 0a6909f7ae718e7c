"""Unprivileged user ids for programs that a root process runs: each sandbox has one that no other holds.

The kernel counts processes and threads by user id, over the whole machine. Two programs under one id share one
limit, so that an honest program fails because of what runs beside it. An id is drawn at random from a range that no
account has, and held by a lock that other processes see, and that ends with this one however it ends.
"""

import fcntl
import functools
import os
import random
import stat
import threading
from pathlib import Path

# Above what systemd gives to containers (0x6FFFFFFF) and below what does not fit a signed number: nobody's.
_WIDE = range(0x70000000, 0x7FFFFFFF)
_NARROW = range(61_184, 65_520)
"""systemd's range for dynamic users; for containers in which only 65,536 ids exist."""
_FOLDERS = ("/run", "/var/lock", "/tmp")
_TRIES = 1_000


class UserLeases:
    """The ids that this process holds."""

    def __init__(self, ids: range, lock_fd: int) -> None:
        self._ids, self._lock_fd = ids, lock_fd
        self._held: set[int] = set()  # a lock of this process does not stop its own other threads
        self._guard = threading.Lock()
        self._random = random.SystemRandom()  # forked processes must not draw the same ids

    def take(self) -> int:
        """An id that nothing else on this machine was given. Raises OSError if there is none."""
        with self._guard:
            for _ in range(_TRIES):
                user = self._random.choice(self._ids)
                if user not in self._held and self._lock(user):
                    self._held.add(user)
                    return user
        raise OSError("every user id for sandboxes is taken")

    def give_back(self, user: int) -> None:
        """Free an id. All processes under it must have ended."""
        with self._guard:
            self._held.discard(user)
            fcntl.lockf(self._lock_fd, fcntl.LOCK_UN, 1, user)

    def _lock(self, user: int) -> bool:
        try:
            fcntl.lockf(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, user)
        except BlockingIOError:
            return False
        return True


def user_leases() -> UserLeases:
    """Those of this process. Raises OSError where there are no ids, or no place for the lock."""
    return _leases_of(os.getpid())  # a forked child has none of its parent's locks


@functools.cache
def _leases_of(_pid: int) -> UserLeases:
    mapped = [_mapped_ids(name) for name in ("uid_map", "gid_map")]
    for ids in (_WIDE, _NARROW):
        if all(any(ids[0] in part and ids[-1] in part for part in parts) for parts in mapped):
            return UserLeases(ids, _open_lock())
    raise OSError("this user namespace has no user ids to spare")


def _mapped_ids(name: str) -> list[range]:
    lines = Path("/proc/self", name).read_text(encoding="ascii").splitlines()
    return [range(int(first), int(first) + int(count)) for first, _, count in map(str.split, lines)]


def _open_lock() -> int:
    """One file for the machine, a byte for each id; only root may open it."""
    failure = OSError("no folder for the lock")
    for folder in _FOLDERS:
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(Path(folder, "frugalrl-sandbox-users.lock"), flags, 0o600)
        except OSError as error:
            failure = error
            continue
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
            return descriptor
        os.close(descriptor)
    raise failure
