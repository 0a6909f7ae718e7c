"""Every speed benchmark in turn, and one table of their records: `make bench`, or `python benchmarks/bench.py`.

A part is a command of its own with a raw record; a part that fails or is not there is a line that says so, and the exit
code is 1. `--table` prints the table of the records as they are. The parts follow each other: nothing of ours runs
beside a measurement, and each record says what other processes took. Peers run in environments of their own: given
ones, or made under `.bench` on the first run (vLLM's has some GB).

The last column is the share of what the machine allows, by the matrix rate (for rollouts also the copy bandwidth)
measured in the same run on the same cores; commands and checkpoints have no such limit.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from doc_tables import put
from figure_files import bars_file
from machine import ROOT

FOLDER = Path(__file__).parent
RECORDS = FOLDER / "records"
Row = tuple[str, str, str, str, str, str]
"""Part, case, ours, peer, ratio, share of the limit."""


def rollout_rows(record: dict[str, Any]) -> Iterator[Row]:
    """Tokens of a processor second, against each peer that took part."""
    for row in sorted(record["results"], key=lambda one: (len(one["case"]["size"]), one["case"]["dtype"] != "float32")):
        case, rates = row["case"], row["tokens_per_cpu_second"]
        lengths = f"{case['shortest']}-{case['longest']}" if case["shortest"] < case["longest"] else case["longest"]
        name = f"{case['size']} {case['dtype']}, {case['sequences']} x {lengths}"
        share = f"{row['share_of_limit']['frugalrl']:.0%}"
        for peer, ratio in row["frugalrl_over"].items():
            ours = f"{rates['frugalrl']:,.0f} tokens a CPU s"
            yield "rollout", name, ours, f"{_PEERS[peer]} {rates[peer]:,.0f}", f"{ratio:.2f}x", share


_PEERS = {"vllm": "vLLM", "generate": "`generate`", "continuous": "continuous batching"}


def step_rows(record: dict[str, Any]) -> Iterator[Row]:
    """A whole GRPO step against TRL."""
    for row in record["rows"]:
        best = min(row["trl"], key=lambda one: statistics.median(one["step_cpu_seconds"]))
        ours, theirs = (statistics.median(side["step_cpu_seconds"]) for side in (row["ours"], best))
        case = f"{row['case']} lengths, beta {row['kl_coef']:g}"
        share = _step_share(record, row, ours)
        yield "GRPO step", case, f"{ours:.2f} CPU s", f"TRL {theirs:.2f} CPU s", f"{row['ratio_cpu']:.1f}x", share


def _step_share(record: dict[str, Any], row: dict[str, Any], seconds: float) -> str:
    """The products of 64 completions, prompts left out: sampled (2), a backward pass (6), a reference (2)."""
    if "weights_in_products" not in row:
        return ""
    operations = 64 * row["ours"]["mean_tokens"] * row["weights_in_products"] * (10 if row["kl_coef"] else 8)
    return f"{operations / record['limits']['matrix_flops'] / seconds:.0%}"


def sft_rows(record: dict[str, Any]) -> Iterator[Row]:
    """Supervised fine-tuning against TRL."""
    ours = statistics.median(one["ours"]["cpu_seconds_per_1000"] for one in record["rounds"])
    share = f"{record['share_of_matrix_rate']:.0%}"
    case, peer = "1,000 examples", f"TRL {ours * record['ratio_cpu']:.1f} CPU s"
    yield "SFT", case, f"{ours:.1f} CPU s", peer, f"{record['ratio_cpu']:.1f}x", share


def update_rows(record: dict[str, Any]) -> Iterator[Row]:
    """The update against the matrix rate."""
    for row in record["rows"]:
        case = f"{row['size']}, {row['lengths']} lengths, beta {row['kl_coef']:g}"
        ours = f"{statistics.median(row['cpu_seconds']):.2f} CPU s"
        limit = f"its products alone {row['products_alone_seconds']:.2f} s"
        yield "update", case, ours, limit, "", f"{row['share_of_matrix_rate']:.0%}"


def startup_rows(record: dict[str, Any]) -> Iterator[Row]:
    """Commands, the first step, a checkpoint, memory."""
    for name, times in record["commands"].items():
        wall, cpu = (statistics.median(times[key]) for key in ("wall_seconds", "cpu_seconds"))
        yield "start-up", name, f"{wall:.2f} s", f"{cpu:.2f} CPU s", "", ""
    run = record["run"]
    yield "start-up", "quickstart, to its first step", f"{run['first_step_seconds']:.1f} s", "", "", ""
    yield "checkpoint", "the shipped reasoner", f"{statistics.median(record['checkpoint_seconds']):.2f} s", "", "", ""
    memory = f"{run['megabytes_at_the_end']:.0f} MB"
    case = f"after 5 and {run['steps']} steps"
    yield "memory", case, f"{run['megabytes_after_5_steps']:.0f} MB", memory, "", ""


def verdict_rows(record: dict[str, Any]) -> Iterator[Row]:
    """Verdicts against a plain loop of math-verify."""
    timed = record["symbolic"]["seconds_wall_and_cpu"]
    ours, theirs = (statistics.median(one[side][1] for one in timed) for side in ("pool", "math_verify"))
    count = record["answers"]
    yield (
        "verdicts",
        f"{count} answers",
        f"{count / ours:.0f} a CPU s",
        f"math-verify {count / theirs:.0f}",
        f"{theirs / ours:.1f}x",
        "",
    )


def curate_rows(record: dict[str, Any]) -> Iterator[Row]:
    """Curation of a public pool."""
    cpu = record["cpu_seconds"] + record["cpu_seconds_of_children"]
    yield "curate", f"{record['rows']:,} rows", f"{cpu:.0f} CPU s", f"{record['wall_seconds']:.0f} s wall", "", ""


def duplicate_rows(record: dict[str, Any]) -> Iterator[Row]:
    """Duplicates against a MinHash pipeline."""
    seconds = {
        side: statistics.median(one[side]["cpu_seconds"] for one in record["rounds"]) for side in ("ours", "datasketch")
    }
    found = record["removed"]
    ours = f"{seconds['ours']:.0f} CPU s, {found['ours']} found"
    peer = f"datasketch {seconds['datasketch']:.0f} CPU s, {found['datasketch']} found"
    yield "duplicates", f"{record['rows']:,} rows", ours, peer, f"{record['ratio_cpu']:.2f}x", ""


VLLM, TRL, DATASKETCH = "--vllm-env", "--trl-python", "--datasketch-python"
PARTS: dict[str, tuple[str, list[str], Callable[[dict[str, Any]], Iterator[Row]] | None]] = {
    "rollouts": ("rollouts.py", ["--build-vllm", VLLM], rollout_rows),
    "grpo_step": ("grpo_step.py", [TRL], step_rows),
    "update_rate": ("update_rate.py", ["--sizes", "1M", "10M", "100M"], update_rows),
    "sft_step": ("sft_step.py", [TRL], sft_rows),
    "verifier_throughput": ("verifier_throughput.py", ["--rounds", "5"], verdict_rows),
    "curation": ("curation.py", [], curate_rows),
    "minhash": ("minhash.py", [DATASKETCH], duplicate_rows),
    "startup": ("startup.py", [], startup_rows),
    "cost_curves": ("cost_curves.py", [], None),
}
"""By the name of the record: script, its options, and its rows of the table. An environment's option is followed by
what was given for it, if anything was."""


def rows_of(name: str) -> list[Row]:
    """Of a record, if it is there."""
    rows, file = PARTS[name][2], RECORDS / f"{name}.json"
    if rows is None or not file.is_file():
        return []
    return list(rows(json.loads(file.read_text(encoding="utf-8"))))


def table() -> str:
    """Of the records that are there."""
    lines = ["| part | case | ours | peer | ratio | of the limit |", "|---|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for name in PARTS for row in rows_of(name)]
    return "\n".join(lines) + "\n"


def circumstances() -> str:
    """What the records say of machine, versions, and what others took."""
    lines = []
    for name in PARTS:
        file = RECORDS / f"{name}.json"
        if file.is_file():
            found = json.loads(file.read_text(encoding="utf-8"))
            shares = [one for one in _values(found, "others_cpu_share") if one is not None]
            versions = {key: value for one in _values(found, "versions") for key, value in _flat(one)}
            said = [f"others took up to {max(shares):.0%} of all cores"] if shares else []
            said += [", ".join(f"{key} {value}" for key, value in sorted(versions.items()))] if versions else []
            if said:
                lines.append(f"- `records/{name}.json`: {'; '.join(said)}.")
    return "\n".join(lines) + "\n"


def _values(found: Any, key: str) -> Iterator[Any]:
    """Under a key, anywhere in a record."""
    if isinstance(found, dict):
        if key in found:
            yield found[key]
        for value in found.values():
            yield from _values(value, key)
    elif isinstance(found, list):
        for value in found:
            yield from _values(value, key)


def _flat(versions: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in versions.items():
        if isinstance(value, dict):
            yield from _flat(value)
        elif value not in ("source", "?"):
            yield key, str(value)


def figure() -> str:
    """How many times as fast as each peer, a bar a case."""
    bars = [
        (f"{part}: {case}, {peer.rpartition(' ')[0] if part == 'rollout' else peer.split()[0]}", float(ratio[:-1]))
        for name in PARTS
        for part, case, _, peer, ratio, _ in rows_of(name)
        if ratio
    ]
    return bars_file("Times as fast as the peer, by processor time (the line: as fast)", bars, mark=1.0)


def one_ratio() -> str:
    """The sentence of the README: a whole step against TRL."""
    record = json.loads((RECORDS / "grpo_step.json").read_text(encoding="utf-8"))
    ratios = [row["ratio_cpu"] for row in record["rows"]]
    return (
        f"On the same work a whole GRPO step is {min(ratios):.1f} to {max(ratios):.1f} times as fast as TRL 1.16's, by "
        "processor time ([benchmarks](benchmarks/README.md)).\n"
    )


def write_pages() -> None:
    """The table, the figure and the README's sentence, from the records."""
    put("../benchmarks/README.md", "speed", table())
    put("../benchmarks/README.md", "circumstances", circumstances())
    (ROOT / "docs" / "figures" / "speed.svg").write_text(figure(), encoding="utf-8")
    if (RECORDS / "grpo_step.json").is_file():
        put("../README.md", "step ratio", one_ratio())


def main() -> int:
    """Run what was asked for, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--pages", action="store_true", help="measure nothing: write the pages that show the records")
    parser.add_argument(VLLM, type=Path, default=ROOT / ".bench" / "vllm", help="an environment with vLLM")
    parser.add_argument(TRL, type=Path, help="the Python of an environment with TRL")
    parser.add_argument(DATASKETCH, type=Path, help="the Python of an environment with datasketch")
    arguments = parser.parse_args()
    given = {VLLM: arguments.vllm_env, TRL: arguments.trl_python, DATASKETCH: arguments.datasketch_python}
    failed = []
    for name in () if arguments.table or arguments.pages else arguments.only:
        script, options, _ = PARTS[name]
        print(f"== {name}", flush=True)
        filled = [word for option in options for word in _filled(option, given)]
        command = [sys.executable, str(FOLDER / script), *filled, "--out", str(RECORDS / f"{name}.json")]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(name)
    print(table(), end="")
    if arguments.pages:
        write_pages()
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _filled(option: str, given: dict[str, Path | None]) -> list[str]:
    """An option, with the environment that was given for it."""
    if option not in given:
        return [option]
    return [option, str(given[option])] if given[option] is not None else []


if __name__ == "__main__":
    sys.exit(main())
