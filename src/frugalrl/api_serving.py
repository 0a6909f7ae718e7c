"""`evaluate` for a model behind a server: what the public API does where a url is given."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from frugalrl.errors import DataError

if TYPE_CHECKING:
    from frugalrl.api_forecasting import Terms
    from frugalrl.evaluation.benchmark_loading import LoadedBenchmark
    from frugalrl.evaluation.benchmarking import Plan, Settings
    from frugalrl.evaluation.runner import Progress
    from frugalrl.evaluation.scores import BenchmarkScore
    from frugalrl.evaluation.serving import Served, Spent


@dataclass(frozen=True)
class Server:
    """An OpenAI-compatible server: vLLM, llama.cpp, a provider.

    url: ends in ``/v1``. api: ``chat`` sends messages; ``completions`` sends the prompt that `tokenizer`, a folder or
    Hub id, renders; ``tokens`` sends its token ids to a vLLM server that rolls out for training. api_key_env:
    the environment variable that holds the key. usd_per_million: of tokens in and out. reasoning_open: the server's
    chat template opens ``<think>`` (DeepSeek-R1's distilled models) and the server sends the reasoning as plain text.
    """

    url: str
    api: Literal["chat", "completions", "tokens"] = "chat"
    tokenizer: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    usd_per_million: tuple[float, float] | None = None
    reasoning_open: bool = False


def evaluate_served(
    model: str,
    server: Server,
    benchmarks: "Sequence[LoadedBenchmark]",
    settings: "Settings",
    folder: Path,
    say: Callable[[str], None],
    terms: "Terms",
) -> "list[tuple[str, BenchmarkScore]]":
    """The score of each benchmark. Raises UserError."""
    from frugalrl.api_forecasting import Meter, foretell_served
    from frugalrl.evaluation.serving import carry_out_served, plan_served
    from frugalrl.reporting.evaluation_text import opening_line

    served = _served(model, server, folder, settings)
    context = served.server.context_tokens()
    plans = [plan_served(served, one, settings, context) for one in benchmarks]
    say(_most(served, plans))
    foretell_served(plans, folder, server.usd_per_million, terms, say)
    meter = Meter(None, terms.max_usd)

    def told(planned: "Plan", progress: "Progress") -> None:
        say(meter.line(planned, progress))
        meter.refuse_more(progress)

    scores: list[tuple[str, BenchmarkScore]] = []
    for planned in plans:
        score, spent = carry_out_served(
            served,
            planned,
            settings,
            on_start=lambda planned, there: say(opening_line(planned, there)),
            on_progress=told,
        )
        meter.finished(spent.usd)
        say(_spent(planned.benchmark.name, spent))
        scores.append((planned.benchmark.name, score))
    return scores


def _served(model: str, server: Server, folder: Path, settings: "Settings") -> "Served":
    from frugalrl.clients.texts import ServerSettings
    from frugalrl.evaluation.serving import Served
    from frugalrl.evaluation.text_server import TextServer

    if not server.url.startswith(("http://", "https://")):
        raise DataError(f"The url {server.url!r} is none. Give one such as http://localhost:8000/v1.")
    if (server.api == "chat") != (server.tokenizer is None):
        raise DataError(
            f"api={server.api} {'takes no' if server.api == 'chat' else 'needs a'} tokenizer, which renders "
            "the prompts for completions and tokens. Change one."
        )
    texts = None
    if server.tokenizer is not None:
        from frugalrl.curation.tokens import load_token_texts

        texts = load_token_texts(server.tokenizer)
    asked = ServerSettings(
        url=server.url,
        model=model,
        key=os.environ.get(server.api_key_env) or None,
        concurrency=settings.max_sequences,
    )
    asking = TextServer(asked, server.api, texts if server.api == "tokens" else None)
    return Served(asking, texts and texts.tokenizer, folder, server.reasoning_open, server.usd_per_million)


def _most(served: "Served", plans: "Sequence[Plan]") -> str:
    """What the evaluation can take at most, before anything is asked."""
    from frugalrl.evaluation.serving import cost

    samples = sum(len(one.prompts) * one.samples for one in plans)
    tokens = sum(len(one.prompts) * one.samples * one.sampling.max_completion_tokens for one in plans)
    into = sum(len(prompt.text) // 4 * one.samples for one in plans for prompt in one.prompts)
    usd = cost(served, into, tokens)
    price = "" if usd is None else f", ${usd:,.2f}"
    return f"{samples:,} samples of {served.server.settings.model}: at most {tokens:,} tokens{price}."


def _spent(name: str, spent: "Spent") -> str:
    price = "" if spent.usd is None else f", ${spent.usd:,.5f}"
    tokens = f"{spent.prompt_tokens:,} tokens in, {spent.completion_tokens:,} out"
    return f"  {name}: {spent.requests:,} requests, {tokens}{price}"
