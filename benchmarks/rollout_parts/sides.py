"""The sides: each loads the model once, and samples the case once per call, returning how many tokens it made.

All sample from the whole vocabulary at temperature 1. Where a side could be asked for more than the others, it is not:
only frugalrl returns log-probabilities and gives each completion a random stream of its own.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rollout_parts.work import GROUP, SIZES, Case, lengths, prompts

Run = Callable[[], int]


def frugalrl(case: Case, folder: Path) -> Run:
    """The engine in process. A completion ends where its length is reached: the flight is told so in place of an end
    token, which costs it a line of Python a completion and token."""
    from frugalrl.rollout import torch_engine
    from frugalrl.rollout.engine import RolloutRequest, SamplingParams

    limits = lengths(case)

    class ForcedFlight(torch_engine.Flight):
        def retire(self) -> list[Any]:
            drawn = self._drawn[: self.size].tolist()
            forced = [limits[request * GROUP + sample] for request, sample in self._owners]
            ended = [count >= limit for count, limit in zip(drawn, forced, strict=True)]
            self._done[: self.size] |= torch.tensor(ended)
            return super().retire()

    import torch

    torch_engine.Flight = ForcedFlight  # type: ignore[misc]
    model = _model(folder)
    engine = torch_engine.TorchEngine(model, frozenset({SIZES[case.size]["vocab_size"]}), case.sequences)
    requests = [RolloutRequest(tuple(one), tuple(range(GROUP))) for one in prompts(case)]

    def run() -> int:
        answers = engine.generate(requests, SamplingParams(case.longest))
        return sum(len(sequence.token_ids) for group in answers for sequence in group)

    return run


def transformers_generate(case: Case, folder: Path) -> Run:
    """`generate` with a static batch: a finished row is padded until the last has finished."""
    import torch
    import transformers

    model = _model(folder)
    limits = torch.tensor(lengths(case))
    whole = prompts(case)
    width = max(map(len, whole))
    ids = torch.tensor([[0] * (width - len(one)) + one for one in whole])
    mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in whole])

    class AtLength(transformers.StoppingCriteria):
        def __call__(self, input_ids: torch.Tensor, scores: Any, **rest: Any) -> torch.Tensor:
            return input_ids.shape[1] - width >= limits

    def run() -> int:
        done = model.generate(
            ids,
            attention_mask=mask,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            num_return_sequences=GROUP,
            max_new_tokens=case.longest,
            pad_token_id=0,
            stopping_criteria=transformers.StoppingCriteriaList([AtLength()]),
        )
        return int((torch.arange(done.shape[1] - width) < limits[:, None]).sum())

    return run


def transformers_continuous(case: Case, folder: Path) -> Run:
    """transformers' continuous batching, with its manager kept alive between repeats."""
    import transformers

    model = _model(folder)
    settings = transformers.GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, max_new_tokens=case.longest, eos_token_id=-1, pad_token_id=0
    )
    memory = transformers.ContinuousBatchingConfig(max_memory_percent=0.15)  # else it takes most of the machine's
    manager = model.init_continuous_batching(generation_config=settings, continuous_batching_config=memory)
    manager.start()
    limits, whole = lengths(case), [one for one in prompts(case) for _ in range(GROUP)]
    names = itertools.count()

    def run() -> int:
        for prompt, limit in zip(whole, limits, strict=True):
            manager.add_request(prompt, request_id=str(next(names)), max_new_tokens=limit)
        made, left = 0, len(whole)
        while left:
            result = manager.get_result(timeout=60)
            if result is None:
                raise RuntimeError("continuous batching gave no result in a minute")
            if result.is_finished():
                made, left = made + len(result.generated_tokens), left - 1
        return made

    return run


def vllm(case: Case, folder: Path) -> Run:
    """vLLM on the CPU, compiled, in this process, prefix caching on."""
    import os

    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = "1"
    import vllm as library

    model = library.LLM(
        model=str(folder),
        dtype=case.dtype,
        skip_tokenizer_init=True,
        max_model_len=512,
        max_num_seqs=case.sequences,
        generation_config="vllm",
        disable_log_stats=True,
    )
    whole = [{"prompt_token_ids": one} for one in prompts(case) for _ in range(GROUP)]
    wanted = [
        library.SamplingParams(temperature=1.0, max_tokens=limit, min_tokens=limit, ignore_eos=True, detokenize=False)
        for limit in lengths(case)
    ]

    def run() -> int:
        return sum(len(one.outputs[0].token_ids) for one in model.generate(whole, wanted, use_tqdm=False))

    return run


def _model(folder: Path) -> Any:
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()


SIDES: dict[str, Callable[[Case, Path], Run]] = {
    "frugalrl": frugalrl,
    "vllm": vllm,
    "generate": transformers_generate,
    "continuous": transformers_continuous,
}
