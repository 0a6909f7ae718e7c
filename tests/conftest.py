"""Models small enough to make in a moment, and where optional data lies."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from frugalrl.config.schema import ModelSettings, ScratchModel
from frugalrl.training.model.policy import Policy, load_policy, quiet_transformers
from frugalrl.training.model.scratch import train_tokenizer
from frugalrl.verify.workers.pool import VerifierPool

torch.set_num_threads(1)  # two threads spin each other to a crawl on a busy machine, and tests run side by side


SLOW_FILES = (
    "training/distributed/test_equality.py",
    "verify/test_code_lifetime.py",
    "training/state/test_kills.py",
    "planning/doctor/test_broken_recipes.py",
    "verify/test_code_attacks.py",
    "test_cli.py",
    "training/distributed/test_launches.py",
    "training/test_trainer.py",
    "verify/test_workers_pool.py",
    "planning/forecast/test_traced.py",
    "verify/test_code.py",
    "benchmarks/test_gpu.py",
    "test_wheel.py",
    "test_examples.py",
    "evaluation/test_sharing.py",
    "training/state/test_resume.py",
    "training/test_failures.py",
    "verify/test_hostile.py",
    "training/guard/test_guard_actions.py",
    "planning/doctor/test_served.py",
    "curation/test_pipeline.py",
    "verify/test_answers_data.py",
    "training/test_update.py",
)
"""The files that take longest, the longest first: one that began at the end would keep all other cores waiting.

The second needs no kernels: on a fresh machine the first one's process compiles them, and who needs them too waits.
"""


def _begins(item: pytest.Item) -> int:
    name = item.path.relative_to(Path(__file__).parent).as_posix()
    return SLOW_FILES.index(name) if name in SLOW_FILES else len(SLOW_FILES)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a real vLLM unless it is asked for by name; put the longest files first."""
    items.sort(key=_begins)
    if "vllm" not in config.getoption("markexpr"):
        left_out = [item for item in items if "vllm" in item.keywords and item.get_closest_marker("vllm")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session", autouse=True)
def _quiet():
    quiet_transformers()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real problems and benchmarks; optional, so tests that need them skip where they are absent."""
    folder = Path(os.environ.get("FRUGALRL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("FRUGALRL_DATA is not set and ../shared/data is absent: no real data here")
    return folder


@pytest.fixture(scope="session")
def tokenizer():
    texts = ["What is 12 plus 7? The answer is \\boxed{19}.", "user assistant system First Then Finally"] * 20
    return train_tokenizer(texts, vocab_size=300, context_tokens=2048)


def random_model(architecture: str, tokenizer, tied: bool = True, layers: int = 2):
    """A random-weight model of one of the supported architectures, with grouped key/value heads."""
    import transformers

    kinds = {
        "qwen2": transformers.Qwen2Config,
        "qwen3": transformers.Qwen3Config,
        "llama": transformers.LlamaConfig,
    }
    extra = {"head_dim": 24} if architecture == "qwen3" else {}
    config = kinds[architecture](
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # Larger than the usual 0.02, so that the next-token distributions are far from uniform.
        initializer_range=0.3,
        **extra,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return model.eval()


@pytest.fixture
def torch_threads():
    """Sets torch's number of threads until the end of the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def policy(tokenizer) -> Policy:
    """A random Qwen2 policy; tests that train make their own copy."""
    return Policy(random_model("qwen2", tokenizer), tokenizer, "random")


@pytest.fixture
def fresh_policy(tokenizer) -> Policy:
    return Policy(random_model("qwen2", tokenizer), tokenizer, "random")


@pytest.fixture(scope="session")
def tiny_policy() -> Policy:
    """The reasoner that ships with the package."""
    return load_policy(ModelSettings())


@pytest.fixture(scope="session")
def small_scratch() -> ScratchModel:
    return ScratchModel(vocab_size=300, hidden_size=32, intermediate_size=48, layers=2, heads=2, kv_heads=1)


@pytest.fixture
def model_folder(tokenizer, tmp_path) -> Path:
    """A random Qwen2 model in Hub layout."""
    folder = tmp_path / "model"
    random_model("qwen2", tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def pool() -> Iterator[VerifierPool]:
    """With the default limits: an answer takes a second at most."""
    with VerifierPool(workers=2) as shared:
        yield shared


@pytest.fixture(scope="session")
def patient_pool() -> Iterator[VerifierPool]:
    """For tests of what is right, on machines that may be busy with something else."""
    with VerifierPool(workers=2, cpu_seconds=20.0) as shared:
        yield shared
