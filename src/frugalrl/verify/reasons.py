"""The reasons of a verdict that was cut off by a limit: `unknown`, and no word about whether the answer is right."""

CPU_LIMIT = "cpu_limit"
"""Computer algebra used up its processor time. The same on a busy machine as on an idle one."""
WALL_LIMIT = "wall_limit"
"""The backstop by the clock fired first: the machine gave too little processor time. Says nothing of the answer."""
MEMORY_LIMIT = "memory_limit"
RECURSION_LIMIT = "recursion_limit"
WORKER_DIED = "worker_died"
PROCESS_LIMIT = "process_limit"
"""A program was refused a process or a thread."""
DISK_LIMIT = "disk_limit"
"""A program was refused space or a file."""
KILLED = "killed"
"""A program was killed from outside, as the kernel does where the machine's memory ends."""

LIMIT_REASONS = frozenset(
    {CPU_LIMIT, WALL_LIMIT, MEMORY_LIMIT, RECURSION_LIMIT, WORKER_DIED, PROCESS_LIMIT, DISK_LIMIT, KILLED}
)
