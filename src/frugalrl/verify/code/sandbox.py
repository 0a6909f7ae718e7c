"""Running untrusted Python: bubblewrap around an interpreter, limits, and a clear refusal without it.

What a sandboxed process has: an empty environment, a read-only system and interpreter, a small private /tmp,
namespaces of its own for processes, network (none), hostname and shared memory, a seccomp filter against the
kernel's keyrings, tracing, namespaces and mounts, and limits on memory, file size, processor time, processes
and open files. Started as root it changes to an unprivileged user before it runs anything, since root's
processes are not counted and keep their rights; started by a user it gets a user namespace.

All of it ends with the process that started it, however that ends: bubblewrap dies with its parent; its init, the
first process of the sandbox's own process namespace, dies with bubblewrap; and when a namespace's first process
dies the kernel kills all others in it. That init is bubblewrap's and not the program, because a program can clear its
own parent-death signal, and a change of user id clears it too. A program whose parent died before bubblewrap could
ask for that signal finds a pipe closed and does not begin. Without bubblewrap a guard process does what it can.

bubblewrap needs namespaces, which Docker's default profile denies: `isolation_problem` says so in a sentence.

Not covered: a bound on the memory of several processes together (it is a limit for each), and faults of the
kernel itself.
"""

import functools
import inspect
import math
import os
import platform
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from frugalrl.verify.code import sandboxed
from frugalrl.verify.code.users import user_leases


@dataclass(frozen=True)
class Limits:
    """The limits of one program."""

    wall_seconds: float = 10.0
    """Of its own time: by the clock, less what it stood in line for a processor. Also of processor time, rounded up."""
    wall_factor: float = 10.0
    """The backstop by the clock alone, in `wall_seconds`."""
    memory_bytes: int = 512 << 20
    """Address space of each process."""
    tmp_bytes: int = 32 << 20
    """Size of its private /tmp, and of any file."""
    output_bytes: int = 1 << 20
    processes: int = 8


@dataclass(frozen=True)
class Sandbox:
    """A confined interpreter at work."""

    process: "subprocess.Popen[bytes]"
    """bubblewrap, or without isolation the guard."""
    user: int | None
    """The user id that it holds, if started as root."""

    def waited_seconds(self) -> float:
        """How long its main processes stood in line for a processor: what the machine took, not the program.

        0 where the kernel does not say. Of the program's main thread only: what its children take from it is its own.
        """
        total, pid = 0, self.process.pid
        try:
            for _ in range(3):  # bubblewrap, its init, the program; or the guard, the program
                total += int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1])
                pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()[0])
        except (OSError, IndexError, ValueError):
            pass  # the end of the chain, or of a process
        return total / 1e9


@functools.cache
def isolation_problem() -> str | None:
    """Why programs cannot be isolated on this machine, or None if they can. Tried once."""
    if sys.platform != "linux":
        return "bubblewrap needs Linux"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (Debian and Ubuntu: apt-get install bubblewrap)"
    if platform.machine() not in _SECCOMP:
        return f"there is no system-call filter for {platform.machine()}"
    try:
        sandbox = start("", Limits(), isolated=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    except OSError as error:
        return f"it cannot be started ({error})"
    process = sandbox.process
    try:
        _, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        return "bubblewrap did not start within a minute"
    finally:
        stop(sandbox)
    if process.returncode != 0:
        last_line = (errors.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        return f"bubblewrap cannot make a sandbox here ({last_line}); containers often deny namespaces"
    return None


def start(
    call: str,
    limits: Limits,
    isolated: bool,
    stdin: int | IO[bytes],
    stdout: int | IO[bytes],
    pass_fds: Sequence[int] = (),
    folder: str = "/",
) -> Sandbox:
    """Start an interpreter on `sandboxed`'s text, confined, that then runs `call`, e.g. ``"serve_solution()"``.

    isolated: in bubblewrap; else only with limits, in `folder`. The caller stops it. Raises OSError where it cannot
    be started.
    """
    as_root = isolated and os.geteuid() == 0
    lifeline = _lifeline(os.getpid())
    user = user_leases().take() if as_root else None
    filter_fd = _seccomp_fd() if isolated else None
    try:
        begin = f"leave_if_orphaned({lifeline})" if isolated else f"guard({lifeline}, {folder!r})"
        confine = (
            f"confine({limits.memory_bytes}, {limits.tmp_bytes}, {math.ceil(limits.wall_seconds)}, "
            f"{limits.processes if isolated else None}, {user})"
        )
        script = "\n".join((_script(), begin, confine, call))
        interpreter = [os.path.realpath(sys.executable), "-I", "-S", "-B", "-X", "utf8", "-c", script]
        command = [*_bubblewrap(limits, as_root, filter_fd), *interpreter] if filter_fd is not None else interpreter
        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE if not call else subprocess.DEVNULL,
            env={},
            cwd="/" if isolated else folder,
            pass_fds=[*pass_fds, lifeline, *([filter_fd] if filter_fd is not None else [])],
            start_new_session=True,
        )
        return Sandbox(process, user)
    except BaseException:
        if user is not None:
            user_leases().give_back(user)
        raise
    finally:
        if filter_fd is not None:
            os.close(filter_fd)


def stop(sandbox: Sandbox) -> None:
    """Kill a sandbox with everything in it, wait for it, and free its user id.

    The child goes first, the sandbox's init or the guarded program, so that it is reaped and no zombie is left to an
    init that may not reap (a container's first process seldom does).
    """
    process = sandbox.process
    try:
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        process.wait(timeout=1.0)
    except (OSError, subprocess.TimeoutExpired):
        pass  # it has ended already, or this kernel lists no children, or it does not end by itself
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    if sandbox.user is not None:
        user_leases().give_back(sandbox.user)


@functools.cache
def _lifeline(_pid: int) -> int:
    """The reading end of a pipe whose other end only this process holds, until it ends. A forked child has its own."""
    return os.pipe()[0]


@functools.cache
def _script() -> str:
    return inspect.getsource(sandboxed)


def _bubblewrap(limits: Limits, as_root: bool, filter_fd: int) -> list[str]:
    command = [shutil.which("bwrap") or "bwrap", "--die-with-parent", "--new-session"]
    command += ["--cap-drop", "ALL"]
    if as_root:
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--unshare-pid", "--unshare-net"]
        command += ["--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    else:
        command += ["--unshare-all"]
    command += ["--hostname", "sandbox", *_system_mounts(), "--proc", "/proc", "--dev", "/dev"]
    command += ["--perms", "1777", "--size", str(limits.tmp_bytes), "--tmpfs", "/tmp", "--chdir", "/tmp"]
    return [*command, "--remount-ro", "/dev", "--remount-ro", "/", "--seccomp", str(filter_fd), "--"]


@functools.cache
def _system_mounts() -> tuple[str, ...]:
    """/usr, what in / leads into it, the loader's cache, and the interpreter where it lies elsewhere."""
    mounts = ["--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            mounts += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            mounts += ["--ro-bind", str(path), str(path)]
    prefix = Path(os.path.realpath(sys.base_prefix))
    if not prefix.is_relative_to("/usr"):
        for parent in reversed(prefix.parents[:-1]):  # else bubblewrap makes them for its own user alone
            mounts += ["--perms", "0755", "--dir", str(parent)]
        mounts += ["--ro-bind", str(prefix), str(prefix)]
    return tuple(mounts)


# ------------------------------------------------------------------------------ the system-call filter

_EPERM, _ENOSYS = 1, 38
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NEW_USER_NAMESPACE = 0x10000000


@dataclass(frozen=True)
class _Architecture:
    """Numbers from the kernel's system-call tables."""

    audit: int
    clone: int
    clone3: int
    denied: tuple[int, ...]
    """add_key, request_key, keyctl, ptrace, unshare, setns, mount, umount2, pivot_root, bpf, perf_event_open,
    userfaultfd, process_vm_readv and _writev, name_to_handle_at, open_by_handle_at, and the newer ones."""


# io_uring_setup, _enter, _register, and the mount interface from open_tree to fspick, and mount_setattr: since
# Linux 5.1 the numbers are the same everywhere.
_NEWER_CALLS = (425, 426, 427, 428, 429, 430, 431, 432, 433, 442)

_SECCOMP = {
    "x86_64": _Architecture(
        0xC000003E,
        56,
        435,
        (248, 249, 250, 101, 272, 308, 165, 166, 155, 321, 298, 323, 310, 311, 303, 304, *_NEWER_CALLS),
    ),
    "aarch64": _Architecture(
        0xC00000B7,
        220,
        435,
        (217, 218, 219, 117, 97, 268, 40, 39, 41, 280, 241, 282, 270, 271, 264, 265, *_NEWER_CALLS),
    ),
}


@functools.cache
def _seccomp_program() -> bytes:
    """BPF: another architecture is killed; the denied fail with EPERM; clone3 is "not there", so that libc
    falls back to clone, whose flags can be read: no user namespace."""
    architecture = _SECCOMP[platform.machine()]

    def step(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, operand)

    steps = [step(_LOAD, 4), step(_EQUAL, architecture.audit, 1, 0), step(_RETURN, _KILL), step(_LOAD, 0)]
    if platform.machine() == "x86_64":  # the x32 numbers start there
        steps += [step(_AT_LEAST, 0x40000000, 0, 1), step(_RETURN, _ERRNO | _EPERM)]
    for number in architecture.denied:
        steps += [step(_EQUAL, number, 0, 1), step(_RETURN, _ERRNO | _EPERM)]
    steps += [step(_EQUAL, architecture.clone3, 0, 1), step(_RETURN, _ERRNO | _ENOSYS)]
    steps += [
        step(_EQUAL, architecture.clone, 0, 3),
        step(_LOAD, 16),
        step(_ANY_BIT, _NEW_USER_NAMESPACE, 0, 1),
    ]
    steps += [step(_RETURN, _ERRNO | _EPERM), step(_RETURN, _ALLOW)]
    return b"".join(steps)


def _seccomp_fd() -> int:
    """The filter as a file in memory, at its start. The caller closes it."""
    return memory_file("seccomp", _seccomp_program())


def memory_file(name: str, content: bytes) -> int:
    """A nameless file in memory with this content, read from its start. The caller closes it."""
    descriptor = os.memfd_create(name)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
