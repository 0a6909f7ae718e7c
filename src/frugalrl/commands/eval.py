"""`frugalrl eval MODEL --bench aime24,math500`: accuracy on benchmarks, with its uncertainty.

Results go to a folder, a file for each benchmark, and are kept: the same command again draws nothing twice, a
larger --k draws only what is new, a killed one is resumed. The table shows what an accuracy alone would hide:
the interval, the truncated share, and answers without a verdict.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frugalrl.commands.running import STOPPED, say, show
from frugalrl.errors import DataError, OutputError

if TYPE_CHECKING:
    from frugalrl.api_serving import Server
    from frugalrl.results import EvaluateResult


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "eval",
        help="accuracy of a model on benchmarks, with intervals; resumes where it stopped",
        description="Sample and judge k completions of each problem of some benchmarks. Results are kept in a folder: "
        "the same command again resumes where it was stopped, and a larger --k only adds samples.",
    )
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="folder in Hub layout, Hub id, or builtin:tiny; several are evaluated one after the other; with --url, "
        "the name that the server gives the model",
    )
    parser.add_argument(
        "--bench",
        required=True,
        help="with commas between: aime24, aime25, math500, amc23, minerva, olympiadbench, gsm8k, gpqa-diamond, "
        "humaneval, mbpp, logic, arithmetic, or the path of your own .jsonl (problem, answer; or problems of code, "
        "logic or multiple choice)",
    )
    parser.add_argument(
        "--task", help="what judges your own files: maths, code, logic, choice (default: told by each row's columns)"
    )
    parser.add_argument("--preset", help="ask and sample as published: open-rs")
    parser.add_argument("--k", type=int, help="samples a problem (default: the benchmark's own, 1 to 16; greedy 1)")
    parser.add_argument("--temperature", type=float, help="0 is greedy (default: 0.6)")
    parser.add_argument(
        "--max-tokens", type=int, help="of a completion (default: the benchmark's, mostly 32768, or what fits)"
    )
    parser.add_argument("--limit", type=int, help="only the first problems of each benchmark")
    parser.add_argument("--out", type=Path, help="folder of the results (default: evaluations/MODEL)")
    parser.add_argument("--seed", type=int, default=0, help="of the sampling (default: 0)")
    parser.add_argument("--max-sequences", type=int, default=32, help="completions in flight at once (default: 32)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: bfloat16 on a GPU, else float32")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto")
    parser.add_argument(
        "--processes",
        type=int,
        dest="shared_by",
        metavar="N",
        help="share the samples among N processes of this machine, each with a GPU of its own; as torchrun "
        "--nproc-per-node N does (default: 1)",
    )
    _add_cost_arguments(parser)
    _add_server_arguments(parser)
    parser.set_defaults(func=run)


def _add_cost_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what it will cost")
    group.add_argument("--dry-run", action="store_true", help="print tokens, time, money and memory, and stop")
    group.add_argument("--gpu", nargs="+", default=[], metavar="NAME", help="cards to ask --dry-run about: A40 H100")
    group.add_argument("--usd-per-hour", type=float, metavar="PRICE", help="of the machine, or of each of its GPUs")
    group.add_argument("--max-usd", type=float, metavar="PRICE", help="end where it has cost so much; resumes")
    group.add_argument(
        "--mean-tokens", type=float, metavar="N", help="tokens of a completion on average (default: docs/evaluating.md)"
    )


def _add_server_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("a model behind a server")
    group.add_argument("--url", help="of an OpenAI-compatible server, such as http://localhost:8000/v1")
    group.add_argument(
        "--api",
        choices=("chat", "completions", "tokens"),
        default="chat",
        help="send messages (default), the prompt that --tokenizer renders, or its token ids (a vLLM server that rolls "
        "out for training)",
    )
    group.add_argument("--tokenizer", help="folder or Hub id whose chat template renders prompts for the other two")
    group.add_argument(
        "--api-key-env", default="OPENAI_API_KEY", help="variable with the key (default: OPENAI_API_KEY)"
    )
    group.add_argument("--usd-per-million", metavar="IN,OUT", help="price of a million tokens in and out, for the cost")
    group.add_argument(
        "--reasoning-open",
        action="store_true",
        help="the server's template opens <think> and the reasoning comes as plain text",
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluate and print the table. Raises UserErrors for what cannot be named, read, loaded or written."""
    from frugalrl.api_evaluation import evaluate_each, forecast_each
    from frugalrl.api_forecasting import Terms, forecasts_text
    from frugalrl.evaluation.benchmarking import default_folder
    from frugalrl.training.limits.signals import Interrupts

    models: list[str] = arguments.models
    if arguments.out is not None and len(models) > 1:
        raise OutputError("Several models would write to one folder. Leave --out away, or evaluate one at a time.")
    settings = ("preset", "task", "k", "temperature", "max_tokens", "limit", "seed", "max_sequences", "dtype", "device")
    chosen = {name: getattr(arguments, name) for name in settings}
    terms = Terms(arguments.usd_per_hour, arguments.max_usd, arguments.mean_tokens)
    if arguments.dry_run:
        del chosen["dtype"], chosen["device"]
        about = {"gpus": arguments.gpu, "processes": arguments.shared_by or 1, "server": _server(arguments)}
        found = forecast_each(models, arguments.bench, out=arguments.out, terms=terms, **about, **chosen)
        show("\n".join(forecasts_text(model, own) for model, own in zip(models, found, strict=True)))
        return 0
    if arguments.gpu:
        raise DataError("--gpu names cards for --dry-run; an evaluation runs on the GPUs that are there. Drop one.")
    finished = 0
    try:
        with Interrupts():
            server = _server(arguments)
            about = {"out": arguments.out, "show": say, "server": server, "terms": terms}
            for result in evaluate_each(models, arguments.bench, **about, **chosen):
                _show(result, len(models) > 1)
                finished += 1
    except KeyboardInterrupt:
        folder = arguments.out or default_folder(models[min(finished, len(models) - 1)])
        show(f"\nStopped. What is finished is in {folder}; the same command resumes from there.")
        return STOPPED
    if len(models) > 1:
        show(f"Next: frugalrl compare {' '.join(str(default_folder(model)) for model in models)}")
    return 0


def _show(result: "EvaluateResult", is_one_of_several: bool) -> None:
    if is_one_of_several:
        show(f"\n{result.model}")
    show(result.text)
    show(f"Page: {result.page} (opens in a browser, from disk)")
    show(f"Results: {result.folder}")


def _server(arguments: argparse.Namespace) -> "Server | None":
    from frugalrl.api_serving import Server
    from frugalrl.evaluation.serving import prices

    if arguments.url is None:
        return None
    return Server(
        url=arguments.url,
        api=arguments.api,
        tokenizer=arguments.tokenizer,
        api_key_env=arguments.api_key_env,
        usd_per_million=None if arguments.usd_per_million is None else prices(arguments.usd_per_million),
        reasoning_open=arguments.reasoning_open,
    )
