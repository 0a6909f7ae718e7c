"""Starting a vLLM server on this machine, and ending it with the run.

The server runs below a keeper process (keeper.py) that outlives neither the run nor the server. Linux only.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from frugalrl.errors import ModelError

_HERE = Path(__file__).parent
_WORKER_FOLDER = _HERE / "worker"
_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")
"""What a launcher says to the trainer, which a server would take for itself."""
_ALLOCATOR = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
"""The trainer's own: expandable segments and vLLM's sleep exclude each other."""
_LOG_LINES = 15
_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


@dataclass(frozen=True)
class LaunchPlan:
    """What a server is started with."""

    environment: Path
    model: str
    """A folder or a Hub id."""
    revision: str | None
    dtype: str
    needed_tokens: int
    """The longest prompt and completion together."""
    devices: str | None
    """CUDA_VISIBLE_DEVICES; None leaves it as it is."""
    arguments: tuple[str, ...]
    log: Path
    lora_rank: int | None = None
    """Of the adapters that it will be sent; None: whole weights."""
    sleeps: bool = False
    """Whether it will be put to sleep."""


class LaunchedServer:
    """A server process of this run's own, which can be started again."""

    def __init__(self, plan: LaunchPlan) -> None:
        """Raises ModelError if there is no such environment."""
        self._plan = plan
        self._python = plan.environment.expanduser() / "bin" / "python"
        self._keeper: subprocess.Popen[bytes] | None = None
        self._pipe: int | None = None
        self._lock, self._is_over = threading.Lock(), False
        if not self._python.is_file():
            raise ModelError(
                f"There is no {self._python}. Give rollout.engine.environment as the folder of an environment that "
                "holds vLLM; docs/servers.md says how to make one."
            )

    @property
    def is_running(self) -> bool:
        """Whether the process lives; it may still be loading, or hang."""
        return self._keeper is not None and self._keeper.poll() is None

    def start(self) -> str:
        """Start the server, ending one that may still run; returns its url, where nobody listens yet.

        Raises ModelError after `end`.
        """
        with self._lock:
            if self._is_over:
                raise ModelError("A server was to be started again after the end of the run.")
            self.stop()
            return self._started()

    def end(self) -> None:
        """End the server for good."""
        with self._lock:
            self._is_over = True
            self.stop()

    def _started(self) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        reading, self._pipe = os.pipe()
        try:
            self._plan.log.parent.mkdir(parents=True, exist_ok=True)
            keeper = [sys.executable, "-S", "-E", str(_HERE / "keeper.py"), str(reading), str(self._plan.log)]
            self._keeper = subprocess.Popen(
                [*keeper, *command(self._plan, str(self._python), port)],
                stdin=subprocess.DEVNULL,
                pass_fds=[reading],
                env=environment(self._plan, os.environ),
                start_new_session=True,
            )
        finally:
            os.close(reading)
        return f"http://127.0.0.1:{port}"

    def wait_until(self, is_ready: Callable[[], bool], seconds: float) -> None:
        """Wait for the server to answer. Raises ModelError, with the end of its log, if it ends or takes too long."""
        until = time.monotonic() + seconds
        while not is_ready():
            if not self.is_running:
                raise ModelError(f"The vLLM server ended while it started. {self._advice()}")
            if time.monotonic() > until:
                raise ModelError(f"The vLLM server is not ready after {seconds:g} seconds. {self._advice()}")
            time.sleep(0.25)

    def stop(self) -> None:
        """End the server and everything it started; returns when it is gone."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        if self._keeper is not None:
            try:
                self._keeper.wait(30)
            except subprocess.TimeoutExpired:
                self._keeper.kill()
                self._keeper.wait()
            self._keeper = None

    def _advice(self) -> str:
        try:
            lines = self._plan.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            lines = []
        tail = "\n    ".join(lines[-_LOG_LINES:])
        return f"The end of {self._plan.log} says why:\n    {tail}"


def command(plan: LaunchPlan, python: str, port: int) -> list[str]:
    """The command line of a server that serves a run, on this machine alone."""
    devices = [] if plan.devices is None else plan.devices.split(",")
    return [
        *(python, "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", plan.model),
        *(("--revision", plan.revision) if plan.revision else ()),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--dtype", plan.dtype),
        *("--max-model-len", str(plan.needed_tokens)),
        *("--logprobs-mode", "processed_logprobs"),
        *("--generation-config", "vllm"),
        "--enable-scale-out",
        *("--worker-extension-cls", "frugalrl_worker.Extension"),
        *("--weight-transfer-config", '{"backend": "frugalrl"}'),
        *(() if plan.lora_rank is None else ("--enable-lora", "--max-lora-rank", str(_served_rank(plan.lora_rank)))),
        *(("--enable-sleep-mode",) if plan.sleeps else ()),
        *(("--tensor-parallel-size", str(len(devices))) if len(devices) > 1 else ()),
        *plan.arguments,
    ]


def _served_rank(rank: int) -> int:
    """The smallest rank that vLLM can be started for and these adapters fit into."""
    return next((one for one in _LORA_RANKS if one >= rank), _LORA_RANKS[-1])


def environment(plan: LaunchPlan, own: Mapping[str, str]) -> dict[str, str]:
    """The server's variables: this process's, without what is about its Python or its ranks."""
    left_out = {"PYTHONHOME", "VIRTUAL_ENV", "PYTHONPATH", *_TORCHRUN, *(_ALLOCATOR if plan.sleeps else ())}
    kept = {name: value for name, value in own.items() if name not in left_out and not name.startswith("TORCHELASTIC_")}
    devices = {} if plan.devices is None else {"CUDA_VISIBLE_DEVICES": plan.devices}
    return {
        **kept,
        **devices,
        "PYTHONPATH": str(_WORKER_FOLDER),
        "VLLM_SERVER_DEV_MODE": "1",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
