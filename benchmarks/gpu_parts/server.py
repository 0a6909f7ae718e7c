"""A vLLM server on the same prompts as the engine in process: tokens a second, seconds of a sync, log-prob gap."""

from collections.abc import Iterator

from frugalrl.config.engine_schema import VllmEngineSettings
from frugalrl.rollout.engine import RolloutEngine, SamplingParams, SharedModel
from frugalrl.rollout.factory import ServerNeeds, build_engine
from frugalrl.rollout.torch_engine import TorchEngine
from gpu_parts.decode import requests
from gpu_parts.rows import Row, Setup, seconds_of


def against_process(setup: Setup) -> Iterator[Row]:
    """Only with `--vllm ENVIRONMENT`: a server is launched from it, on the same device, and ended."""
    batch, width = setup.sizes.batches[-1], setup.sizes.prompt_tokens
    prompts, sampling = requests(batch, width), SamplingParams(8 * setup.sizes.tokens)
    ends = frozenset({setup.policy.model.config.vocab_size})
    yield _rate("in process", TorchEngine(setup.policy.model, ends, batch), prompts, sampling, setup)
    if setup.vllm is None:
        return
    needs = ServerNeeds(
        setup.folder, str(setup.model), None, width + sampling.max_completion_tokens,
        tuple(prompt.prompt_ids for prompt in prompts[:8]),
    )  # fmt: skip
    settings = VllmEngineSettings(kind="vllm", launch=True, environment=str(setup.vllm))
    engine = build_engine(settings, setup.policy.model, setup.policy.end_token_ids, batch, needs)
    try:
        version = iter(range(1, 1000))
        synced = seconds_of(
            lambda: engine.load_weights(SharedModel(setup.policy.model), next(version)), setup.device, setup.repeats
        )
        yield Row("vllm", "weights sent and the server probed", synced, "s")
        yield _rate("vLLM", engine, prompts, sampling, setup)
        for name, value in engine.metrics.items():
            yield Row("vllm", name, float(value), "")
    finally:
        engine.close()


def _rate(name: str, engine: RolloutEngine, prompts: list, sampling: SamplingParams, setup: Setup) -> Row:
    counts: list[int] = []

    def run() -> None:
        counts.append(sum(len(one.token_ids) for group in engine.generate(prompts, sampling) for one in group))

    seconds = seconds_of(run, setup.device, setup.repeats)
    note = f"{len(prompts)} completions of up to {sampling.max_completion_tokens} tokens"
    return Row("vllm", f"rollout {name}", counts[-1] / seconds, "tokens/s", note=note)
