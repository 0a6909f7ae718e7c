"""Our GRPO loss, gradient and advantages against TRL's own code: `python benchmarks/trl_parity.py`.

Both sides get the same small random Qwen2 model, prompts, completions and rewards. On TRL's side the whole of
`GRPOTrainer.train()` runs for two optimizer steps on one batch of rollouts; nothing of it is replaced. Only the
completions are given, through `rollout_func`, TRL's own hook, so that lengths and tokens are known. So TRL's
numbers come from TRL's padding, masks, rewards, advantages, old and reference log-probabilities, loss and
accumulation. Our side is the path that trains: `training_rows` -> `micro_batches` -> `update_policy`.

Step 1 is on-policy (every ratio is 1); before step 2 TRL's optimizer has moved the weights, so ratios leave the
clip range. Before each step the weights are copied from TRL's model to ours: both compute at the same point, and
differences of one step are not carried into the next.

A difference is relative: of the loss to the sum of its tokens' absolute losses (the loss itself is near zero on
policy, where advantages cancel), of the gradient as the 2-norm over all parameters, of advantages to the largest.

TRL is not a dependency of this package: it is imported when a case runs. `tests/parity/test_trl_loss.py` runs the
same cases where TRL is installed.
"""

import argparse
import contextlib
import importlib.metadata
import json
import platform
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frugalrl.algorithms.advantages import PRESETS
from frugalrl.algorithms.aggregation import Aggregation
from frugalrl.algorithms.losses import KLEstimator
from frugalrl.config.algorithm_schema import LossSettings
from frugalrl.training.batching import micro_batches, training_rows
from frugalrl.training.model.policy import Policy, quiet_transformers
from frugalrl.training.model.scratch import train_tokenizer
from frugalrl.training.rules import loss_rule
from frugalrl.training.update import UpdateSettings, update_policy
from frugalrl.types import Completion, Problem, Prompt, ScoredCompletion, ScoredGroup, Verdict

RECORD = Path(__file__).parent / "records" / "trl_parity.json"

GROUP_SIZE = 4
MAX_COMPLETION_TOKENS = 24
LENGTHS_TOKENS = (24, 7, 13, 1, 18, 3, 24, 10)
"""Of the completions: two groups, from one token to the cap, no two micro-batches of the same total."""
REWARDS = (1.0, 0.0, 0.25, 1.0, 0.1, 1.7, -0.5, 0.3)
STEPS = 2
LEARNING_RATE = 3e-4
"""Of TRL's AdamW between the steps: moves a good share of the ratios out of the clip range."""


@dataclass(frozen=True)
class Case:
    """One setting of TRL, and ours that should mean the same."""

    loss_type: str
    """TRL's name."""
    aggregation: Aggregation
    """Our name."""
    cuts: int = 1
    """Micro-batches of equal numbers of completions that TRL accumulates: 1 is 1x8, 8 is 8x1."""
    kl_coef: float = 0.0
    kl_estimator: KLEstimator = "k3"
    """k3_unbiased is TRL's `use_bias_correction_kl`, its default in recent versions."""
    clip_low: float = 0.2
    clip_high: float = 0.2
    temperature: float = 1.0
    scale_rewards: str = "group"
    advantage_preset: str = "trl"
    surrogate: str = "ppo"
    """gspo is TRL's `importance_sampling_level="sequence"`; of cispo, `clip_high` + 1 is TRL's `epsilon_high`."""
    delta: float | None = None
    off_policy_mask: float | None = None
    entropy_coef: float = 0.0

    def __str__(self) -> str:
        kl = f"{self.kl_coef:g}-{self.kl_estimator}" if self.kl_coef else "0"
        rest = f"clip={self.clip_low:g}/{self.clip_high:g} temperature={self.temperature:g} scale={self.scale_rewards}"
        extra = "" if self.surrogate == "ppo" else f" surrogate={self.surrogate}"
        extra += "" if self.delta is None else f" delta={self.delta:g}"
        extra += "" if self.off_policy_mask is None else f" off_policy_mask={self.off_policy_mask:g}"
        extra += f" entropy_coef={self.entropy_coef:g}" if self.entropy_coef else ""
        return f"{self.loss_type}={self.aggregation} {self.cuts}x{len(REWARDS) // self.cuts} kl={kl} {rest}{extra}"


ASYMMETRIC = {"clip_low": 0.1, "clip_high": 0.28}

CASES: tuple[Case, ...] = (
    # Every loss x KL x cut that TRL's arithmetic makes independent of the cut.
    *(
        Case(loss_type, aggregation, cuts, kl_coef, **ASYMMETRIC)
        for loss_type, aggregation in (("grpo", "sequence"), ("dapo", "token"), ("dr_grpo", "constant"))
        for kl_coef in (0.0, 0.04)
        for cuts in (1, 2, 8)
    ),
    # bnpo averages over the tokens of a micro-batch: the token mean over one, the sequence mean over eight.
    *(
        Case("bnpo", aggregation, cuts, kl_coef, **ASYMMETRIC)
        for aggregation, cuts in (("token", 1), ("sequence", 8))
        for kl_coef in (0.0, 0.04)
    ),
    # One thing at a time away from the above.
    Case("dapo", "token", 2),
    Case("dapo", "token", 2, temperature=0.7, kl_coef=0.04),
    Case("dapo", "token", 2, kl_coef=0.04, kl_estimator="k3_unbiased", **ASYMMETRIC),
    Case("grpo", "sequence", 2, kl_coef=0.04, kl_estimator="k3_unbiased", **ASYMMETRIC),
    Case("dr_grpo", "constant", 2, scale_rewards="none", advantage_preset="dr_grpo"),
    Case("dapo", "token", 2, scale_rewards="none", advantage_preset="dr_grpo"),
)

OPTION_CASES: tuple[Case, ...] = (
    Case("grpo", "sequence", 2, kl_coef=0.04, surrogate="gspo", **ASYMMETRIC),
    Case("cispo", "token", 2, kl_coef=0.04, surrogate="cispo", clip_low=1.0, clip_high=0.1),
    Case("sapo", "sequence", 2, kl_coef=0.04, surrogate="sapo"),
    Case("dapo", "token", 2, delta=1.02, clip_low=0.1, clip_high=0.01),
    Case("grpo", "sequence", 8, surrogate="gspo", **ASYMMETRIC),
    Case("dapo", "token", 2, off_policy_mask=0.15, kl_coef=0.04, **ASYMMETRIC),
    # TRL's entropy bonus is a mean over each micro-batch: one cut only.
    Case("dapo", "token", 1, entropy_coef=0.05, **ASYMMETRIC),
)
"""Surrogates and masks beyond GRPO's, and the entropy bonus."""


ADVANTAGE_PAIRS = (("group", "trl"), ("none", "dr_grpo"))
"""TRL's `scale_rewards`, our preset."""
ADVANTAGE_REWARDS = (
    *(1.0, 0.0, 0.0, 0.0, 0.0, 0.0),  # one right
    *(0.5, -0.25, 0.125, 2.0, 1.0, -3.0),
    *(1.0, 1.0, 1.0, 1.0, 1.0, 1.0),  # nothing to learn
    *(0.1, 0.7, 0.3, 0.9, 0.2, 0.6),  # not exact in binary
)
"""Groups of six, the size of Open-RS."""


@dataclass(frozen=True)
class StepDifference:
    """What one optimizer step's comparison found."""

    loss_trl: float
    loss_ours: float
    loss_difference: float
    """Relative to the sum of absolute token losses."""
    gradient_norm: float
    gradient_difference: float
    """Relative, in the 2-norm over all parameters."""
    gradient_difference_worst_tensor: float
    """The same for the parameter where it is largest."""
    clipped_frac: float
    """Of our tokens; TRL reports the same number only where it does not average over micro-batches."""
    clipped_frac_trl: float | None
    kl: float | None
    kl_trl: float | None


@dataclass(frozen=True)
class Comparison:
    """All steps of a case."""

    advantage_difference: float
    steps: tuple[StepDifference, ...]


@dataclass(frozen=True)
class TrlStep:
    """What TRL computed in one optimizer step."""

    weights: dict[str, Tensor]
    """Before the update."""
    loss: float
    """What was differentiated, summed over micro-batches."""
    gradient: dict[str, Tensor]
    clipped_frac: float | None
    kl: float | None


@dataclass(frozen=True)
class TrlRun:
    """What TRL computed in a run."""

    advantages: Tensor
    steps: tuple[TrlStep, ...]


@cache
def tokenizer() -> Any:
    """A byte-level tokenizer of 300 ids."""
    texts = ["What is 12 plus 7? The answer is \\boxed{19}.", "user assistant system First Then Finally"] * 20
    return train_tokenizer(texts, vocab_size=300, context_tokens=256)


def make_model(seed: int) -> Any:
    """A random Qwen2 with grouped key/value heads and a tied head."""
    import transformers

    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer()),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer().eos_token_id,
        pad_token_id=tokenizer().pad_token_id,
        # Larger than the usual 0.02, so that the next-token distributions are far from uniform.
        initializer_range=0.15,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def scored_groups(rewards: Sequence[float] = REWARDS, group_size: int = GROUP_SIZE) -> list[ScoredGroup]:
    """Prompts of different lengths with random completions of given lengths and rewards."""
    generator = torch.Generator().manual_seed(1)

    def some_ids(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(10, len(tokenizer()), (count,), generator=generator).tolist())

    groups = []
    for first in range(0, len(rewards), group_size):
        number = first // group_size
        problem = Problem(id=str(number), text=f"problem {number}", gold="")
        prompt = Prompt(problem, problem.text, some_ids(5 + 4 * (number % 3)))
        completions = []
        for index in range(first, first + group_size):
            ids = some_ids(LENGTHS_TOKENS[index % len(LENGTHS_TOKENS)])
            completion = Completion("", ids, (0.0,) * len(ids), "length", (0,) * len(ids), seed=index)
            completions.append(ScoredCompletion(completion, rewards[index], {}, Verdict("unknown", None, "given")))
        groups.append(ScoredGroup(prompt, tuple(completions)))
    return groups


def run_trl(case: Case, groups: Sequence[ScoredGroup], steps: int = STEPS) -> TrlRun:
    """Train with TRL for `steps` updates on one batch of rollouts, and write down what it computes."""
    import transformers
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    advantages: list[Tensor] = []
    losses: list[float] = []
    recorded: list[TrlStep] = []

    class Recorder(GRPOTrainer):  # type: ignore[misc]
        """TRL's trainer with two values written down as they pass."""

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            output = super()._generate_and_score_completions(inputs)
            advantages.append(output["advantages"].clone())
            return output

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(*args, **kwargs)
            losses.append(loss.item())
            return loss

    class BeforeUpdate(transformers.TrainerCallback):  # type: ignore[misc]
        """Gradients and weights when all micro-batches are in and the optimizer has not run."""

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            metrics = trainer._metrics["train"]
            per_batch = metrics.get("clip_ratio/region_mean", [])[-case.cuts :]  # cispo and sapo have none
            recorded.append(
                TrlStep(
                    weights={name: p.detach().clone() for name, p in trainer.model.named_parameters()},
                    loss=sum(losses[-case.cuts :]),
                    gradient={name: p.grad.clone() for name, p in trainer.model.named_parameters()},
                    clipped_frac=sum(per_batch) / case.cuts if per_batch else None,
                    kl=sum(metrics["kl"][-case.cuts :]) / case.cuts if case.kl_coef else None,
                )
            )

    def rollout(prompts: list[str], trainer: Any) -> dict[str, list[Any]]:
        expected = [group.prompt.text for group in groups for _ in group.completions]
        if prompts != expected:
            raise RuntimeError(f"TRL asks for {prompts}, and not for {expected}: the comparison would mean nothing.")
        completions = [(group, scored) for group in groups for scored in group.completions]
        return {
            "prompt_ids": [list(group.prompt.token_ids) for group, _ in completions],
            "completion_ids": [list(scored.completion.token_ids) for _, scored in completions],
            "logprobs": [list(scored.completion.rollout_logprobs) for _, scored in completions],
            "given_reward": [scored.reward for _, scored in completions],
        }

    def reward(given_reward: list[float], **kwargs: Any) -> list[float]:
        return given_reward

    count = sum(len(group.completions) for group in groups)
    with tempfile.TemporaryDirectory() as folder, _quiet(), torch.random.fork_rng():
        # TRL loads the reference from where the policy came from: the folder holds the reference.
        make_model(seed=0).save_pretrained(folder)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        _move(model)
        trainer = Recorder(
            model=model,
            reward_funcs=reward,
            processing_class=tokenizer(),
            train_dataset=Dataset.from_dict({"prompt": [group.prompt.text for group in groups]}),
            rollout_func=rollout,
            callbacks=[BeforeUpdate()],
            args=GRPOConfig(
                output_dir=folder,
                loss_type=case.loss_type,
                beta=case.kl_coef,
                use_bias_correction_kl=case.kl_estimator == "k3_unbiased",
                epsilon=case.clip_low,
                epsilon_high=case.clip_high + (case.surrogate == "cispo"),
                delta=case.delta,
                importance_sampling_level="sequence" if case.surrogate == "gspo" else "token",
                off_policy_mask_threshold=case.off_policy_mask,
                entropy_coef=case.entropy_coef,
                temperature=case.temperature,
                scale_rewards=case.scale_rewards,
                num_generations=len(groups[0].completions),
                num_iterations=2,  # two updates on a batch: TRL then keeps old log-probabilities
                max_completion_length=MAX_COMPLETION_TOKENS,
                per_device_train_batch_size=count // case.cuts,
                gradient_accumulation_steps=case.cuts,
                max_steps=steps,
                learning_rate=LEARNING_RATE,
                lr_scheduler_type="constant",
                max_grad_norm=0.0,  # gradients as they are
                gradient_checkpointing=False,
                shuffle_dataset=False,
                bf16=False,
                use_cpu=True,
                report_to="none",
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
    return TrlRun(advantages[0], tuple(recorded))


def compare(case: Case, ours: Case | None = None) -> Comparison:
    """Run a case on both sides. ours: another case for our side, to see that the two are told apart."""
    quiet_transformers()
    ours = ours or case
    policy = Policy(make_model(seed=0), tokenizer(), "policy")
    _move(policy.model)  # as TRL's: the weights that sample
    groups = [_with_rollout_logprobs(group, policy, ours.temperature) for group in scored_groups()]
    trl = run_trl(case, groups)
    rule = PRESETS[ours.advantage_preset]
    reference = Policy(make_model(seed=0), tokenizer(), "reference") if ours.kl_coef else None
    rows = training_rows(groups, rule, ours.aggregation, MAX_COMPLETION_TOKENS)
    # 1x8 here is 1x8 there, and 8x1 is 8x1; in between, ours fill by tokens.
    capacity = {1: 10**9, len(rows): 1}.get(ours.cuts, 80)
    batches = micro_batches(rows, capacity, torch.device("cpu"))
    settings = UpdateSettings(
        loss_rule(
            LossSettings(
                surrogate=ours.surrogate,
                clip_low=ours.clip_low,
                clip_high=ours.clip_high,
                delta=ours.delta,
                kl_coef=ours.kl_coef,
                kl_estimator=ours.kl_estimator,
                off_policy_mask=ours.off_policy_mask,
            )
        ),
        updates=1,
        temperature=ours.temperature,
        logits_chunk_tokens=1024,
        old_from_rollout=True,
        entropy_coef=ours.entropy_coef,
    )
    differences = []
    for step in trl.steps:
        policy.model.load_state_dict(step.weights, strict=False)
        optimizer = _GradientReader(policy.model)
        metrics = update_policy(policy, reference, optimizer, batches, settings, lr_factor=1.0)  # type: ignore[arg-type]
        scale = sum(abs(row.advantage) * row.token_weight * len(row.completion_ids) for row in rows)
        differences.append(_difference(step, metrics, optimizer.gradient, scale))
    advantages = torch.tensor([row.advantage for row in rows])
    return Comparison(_relative(trl.advantages, advantages), tuple(differences))


def rounding_floor() -> float:
    """How far TRL's gradient of 8 micro-batches of one is from its own of one micro-batch of 8, on the same weights.

    The two are the same sum in another order: what fp32 leaves of it, and what no comparison here can go below.
    """
    quiet_transformers()
    whole, cut = (run_trl(Case("dapo", "token", cuts, **ASYMMETRIC), scored_groups(), steps=1) for cuts in (1, 8))
    return _relative(_flat(whole.steps[0].gradient), _flat(cut.steps[0].gradient))


def compare_advantages(rewards: Sequence[float], group_size: int, scale_rewards: str, preset: str) -> float:
    """The largest absolute difference of TRL's advantages from ours, over groups of these rewards."""
    quiet_transformers()
    groups = scored_groups(rewards, group_size)
    trl = run_trl(Case("dapo", "token", scale_rewards=scale_rewards), groups, steps=1)
    rows = training_rows(groups, PRESETS[preset], "token", MAX_COMPLETION_TOKENS)
    return float((trl.advantages.double() - torch.tensor([row.advantage for row in rows]).double()).abs().max())


class _GradientReader:
    """Stands where the optimizer does and, instead of updating, keeps the gradient."""

    loss_scale = 1.0

    def __init__(self, model: Any) -> None:
        self._model = model
        self.gradient: dict[str, Tensor] = {}

    def step(self, lr_factor: float) -> float:
        self.gradient = {name: p.grad.clone() for name, p in self._model.named_parameters()}
        self._model.zero_grad()
        return float(_flat(self.gradient).norm())


def _with_rollout_logprobs(group: ScoredGroup, policy: Policy, temperature: float) -> ScoredGroup:
    """The same group with the log-probabilities an exact engine would have given."""
    completions = []
    for scored in group.completions:
        whole = torch.tensor([group.prompt.token_ids + scored.completion.token_ids])
        wanted = torch.arange(whole.shape[1])[None] >= len(group.prompt.token_ids)
        with torch.no_grad():
            logprobs = policy.logprobs(whole, wanted, temperature)[0]
        old = scored.completion
        new = Completion(
            old.text, old.token_ids, tuple(logprobs.tolist()), old.finish_reason, old.policy_versions, old.seed
        )
        completions.append(ScoredCompletion(new, scored.reward, scored.breakdown, scored.verdict))
    return ScoredGroup(group.prompt, tuple(completions))


def _difference(step: TrlStep, metrics: dict[str, float], gradient: dict[str, Tensor], scale: float) -> StepDifference:
    worst = max(_relative(step.gradient[name], gradient[name]) for name in gradient)
    return StepDifference(
        loss_trl=step.loss,
        loss_ours=metrics["loss/total"],
        loss_difference=abs(step.loss - metrics["loss/total"]) / scale,
        gradient_norm=float(_flat(step.gradient).norm()),
        gradient_difference=_relative(_flat(step.gradient), _flat(gradient)),
        gradient_difference_worst_tensor=worst,
        clipped_frac=metrics["policy/clipped_frac"],
        clipped_frac_trl=step.clipped_frac,
        kl=metrics.get("policy/kl"),
        kl_trl=step.kl,
    )


def _relative(theirs: Tensor, ours: Tensor) -> float:
    theirs, ours = theirs.double(), ours.double()
    return float((ours - theirs).norm() / theirs.norm())


def _flat(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([tensors[name].flatten() for name in sorted(tensors)]).double()


@torch.no_grad()
def _move(model: Any) -> None:
    """Take the weights a step away from where they are, so that the KL to the reference is not zero."""
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        parameter += 0.01 * torch.randn(parameter.shape, generator=generator)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Two things that TRL and transformers say and that mean nothing here."""
    with warnings.catch_warnings():
        # The hook is there to be used; a test of a pinned version may lean on it.
        warnings.filterwarnings("ignore", message="You are using 'rollout_func'", category=UserWarning)
        # TRL still uses names that transformers is about to drop.
        warnings.filterwarnings("ignore", message=r"`\w*gradient_checkpointing", category=FutureWarning)
        yield


def main() -> None:
    """Run every case, print a table, write the record."""
    parser = argparse.ArgumentParser(description="Compare our GRPO loss, gradient and advantages with TRL's.")
    parser.add_argument("--out", type=Path, default=RECORD, help="where the raw record goes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the tensors are tiny
    results = []
    print(f"{'case':88} {'loss':>9} {'gradient':>9} {'clipped':>8}")
    for case in (*CASES, *OPTION_CASES):
        comparison = compare(case)
        for number, step in enumerate(comparison.steps, start=1):
            label = f"{case} step {number}"
            print(f"{label:88} {step.loss_difference:9.1e} {step.gradient_difference:9.1e} {step.clipped_frac:8.2f}")
        results.append({"name": str(case), "case": asdict(case), **asdict(comparison)})
    steps = [step for result in results for step in result["steps"]]
    largest = {
        "loss_difference": max(step["loss_difference"] for step in steps),
        "gradient_difference": max(step["gradient_difference"] for step in steps),
        "gradient_difference_worst_tensor": max(step["gradient_difference_worst_tensor"] for step in steps),
        "advantage_difference": max(result["advantage_difference"] for result in results),
    }
    record = {
        "what": "frugalrl against GRPOTrainer.train(): loss, gradient and advantages, fp32, relative differences",
        "environment": environment("torch", "transformers", "trl", "accelerate", "datasets", "frugalrl"),
        "largest": largest,
        "trl_8x1_against_trl_1x8_gradient": rounding_floor(),
        "advantages_absolute": {
            f"scale_rewards={scale} preset={preset}": compare_advantages(ADVANTAGE_REWARDS, 6, scale, preset)
            for scale, preset in ADVANTAGE_PAIRS
        },
        "cases": results,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print("largest:", ", ".join(f"{name} {value:.1e}" for name, value in largest.items()))
    print(f"record: {arguments.out}")


def environment(*packages: str) -> dict[str, Any]:
    """What a number depends on besides the code."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "torch_threads": torch.get_num_threads(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
    }


if __name__ == "__main__":
    main()
