"""What a recipe may say: the strict schema of `frugalrl train` and `frugalrl sft`.

Decisions:
- Unknown keys are errors (`loading.py` adds the nearest name); values are not coerced from other types.
- Batch arithmetic is explicit: a step has `prompts_per_step` prompts x `group_size` completions each, and
  `micro_batch_tokens` bounds what is on the device at once. No number has to divide another: micro-batches are filled
  by tokens, and the loss is normalised over the whole batch before it is cut.
- Checks that need only the recipe are made here; checks that need the model or the data are made where these are
  loaded, before the first step.

Files are read by `loading.py`, not here. The algorithm's sections are in `algorithm_schema.py`.
"""

from functools import partial
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from frugalrl.config.algorithm_schema import AlgorithmSettings
from frugalrl.config.dotted_paths import is_dotted_path
from frugalrl.config.section import Fraction, NonNegative, Positive, PositiveFloat, Section
from frugalrl.config.stability_schema import GuardSettings, LengthScheduleSettings
from frugalrl.config.task_table import TASKS, makes_completions, splits_of
from frugalrl.functions import SAMPLERS, Setting, known_name

DEFAULT_SOURCE = "arithmetic"
"""A task's name; a source that is neither a task's name nor a dotted path is a file, a folder or a Hub id."""
TINY_MODEL = "builtin:tiny"
"""The model path of the tiny reasoner shipped as package data."""


class ModelSettings(Section):
    """The model to start from."""

    path: str = Field(TINY_MODEL, description="folder in Hub layout, Hub id, or builtin:tiny")
    revision: str | None = Field(None, description="branch, tag or commit of a Hub id")
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="compute dtype; the optimizer always keeps fp32 master weights"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes a GPU if there is one")
    gradient_checkpointing: bool = Field(False, description="recompute activations: less memory, a third slower")


class ProblemSource(Section):
    """The source of problems: rows with `problem` and `answer` or `solution`."""

    source: str = Field(
        DEFAULT_SOURCE,
        description="arithmetic, logic, the dotted path of your own task, a .jsonl/.parquet file (.gz too), a "
        "folder of them, or a Hub id",
    )
    task: str | None = Field(
        None,
        description="the task that judges the rows of a file: maths, code, logic, or the dotted path of your own task; "
        "null: recognised by the columns",
    )
    split: str = Field("train", description="of a Hub id or of a task that generates problems")
    subset: str | None = Field(None, description="configuration name of a Hub id, e.g. main")
    revision: str | None = Field(None, description="of a Hub id")
    problem_field: str = "problem"
    answer_field: str = "answer"
    solution_field: str = Field("solution", description="its last box is the answer of a row without one")
    skip_without_gold: bool = Field(False, description="skip rows without a gold answer")
    limit: Positive | None = Field(None, description="take only the first rows; needed for an endless task")
    seed: int = Field(0, description="of a task that generates problems")
    difficulties: tuple[Literal[1, 2, 3], ...] = Field((1, 2, 3), description="of a task that generates problems")

    @model_validator(mode="after")
    def _an_endless_task_says_how_much(self) -> Self:
        splits = splits_of(self.source)
        if splits and self.limit is None:
            raise ValueError(f"the {self.source} task is endless: say how many problems to take with `limit`")
        if splits and self.split not in splits:
            raise ValueError(f"the {self.source} task has the splits {', '.join(splits[:-1])} and {splits[-1]}")
        return self

    @model_validator(mode="after")
    def _the_task_is_known(self) -> Self:
        if self.task is None:
            return self
        if self.task not in TASKS and not is_dotted_path(self.task):
            raise ValueError(f"there is no task {self.task!r}: use {', '.join(TASKS)}, or your own as module.TASK")
        if splits_of(self.source):
            raise ValueError(f"{self.source} is a task itself: leave `task` out")
        return self


class PromptSettings(Section):
    """How a problem becomes a prompt, before the tokenizer's chat template."""

    system: str | None = Field(None, description="system message; none if null")
    template: str = Field("{problem}", description="user message; {problem} is replaced")

    @model_validator(mode="after")
    def _template_holds_the_problem(self) -> Self:
        if "{problem}" not in self.template:
            raise ValueError("the template has no {problem}: the model would never see the question")
        return self


SamplerName = Annotated[str, AfterValidator(partial(known_name, table=SAMPLERS, what="sampler"))]


class SamplerSettings(Section):
    """The order of training problems. See data/sampler.py."""

    mode: SamplerName = Field(
        "shuffle",
        description="shuffle; curriculum: each epoch goes through `bands` in order, shuffled within a band; or the "
        "dotted path of your own function",
    )
    args: dict[str, Setting] = Field({}, description="settings of your own sampler")
    bands: tuple[str, ...] = Field((), description="of a curriculum: values of the column `band`, in order")
    skip_solved: Fraction | None = Field(
        None,
        description="skip a problem for now if at least this share of its group was correct, e.g. 1.0; null: never",
    )
    skip_unsolved: Fraction | None = Field(
        None, description="skip a problem for now if at most this share of its group was correct, e.g. 0.0; null: never"
    )
    re_entry_steps: Positive = Field(50, description="steps for which a problem is skipped")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.mode in SAMPLERS and (self.mode == "curriculum") != bool(self.bands):
            raise ValueError("a curriculum needs `bands`, in order; a shuffle has none")
        if None not in (self.skip_solved, self.skip_unsolved) and self.skip_unsolved >= self.skip_solved:  # type: ignore[operator]  # neither is None
            raise ValueError("skip_unsolved must be below skip_solved, or every problem is skipped")
        return self


class DataSettings(Section):
    """Training and validation problems, and the prompt around them."""

    train: ProblemSource
    validation: ProblemSource | None = Field(None, description="held out of training; evaluated during the run")
    test: ProblemSource | None = Field(None, description="evaluated twice: the base and the final model")
    prompt: PromptSettings = PromptSettings()
    sampler: SamplerSettings = SamplerSettings()


class RewardTerm(Section):
    """One term of the rubric: the reward of a completion is the weighted sum of its terms."""

    name: str = Field(description="a name in docs/rewards, or the dotted path of a function (TRL's signature)")
    weight: float = Field(1.0, allow_inf_nan=False)
    args: dict[str, float | int | str | bool] = Field({}, description="keyword arguments of the reward")
    gate_group_accuracy: Fraction | None = Field(
        None, description="off below this group accuracy; a cosine pays the plain verdict while it is off"
    )
    conversational: bool = Field(False, description="pass messages, not text, to your own function")
    timeout_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        600.0, description="of your own function, for the completions of one prompt; then the run ends"
    )


class VerifierSettings(Section):
    """Limits on comparing an answer with its gold, in training and evaluation alike; see docs/rewards/answers.md."""

    cpu_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        2.0, description="processor time of one comparison; one that needs more is unknown: cpu_limit"
    )
    wall_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, description="wall-clock backstop: wall_limit; null: 30 times cpu_seconds"
    )
    workers: Positive = Field(2, description="processes")

    @model_validator(mode="after")
    def _the_backstop_is_behind_the_limit(self) -> Self:
        if self.wall_seconds is not None and self.wall_seconds < self.cpu_seconds:
            raise ValueError("wall_seconds is only a backstop: give at least cpu_seconds")
        return self


class TorchEngineSettings(Section):
    """The engine in process: samples with the policy's own weights, on CPU or one GPU."""

    kind: Literal["torch"] = "torch"


EngineSettings = TorchEngineSettings
"""What `rollout.engine` may be: sections distinguished by `kind`, each with a builder in `rollout/factory.py`."""


class RolloutSettings(Section):
    """How completions are sampled for training."""

    engine: EngineSettings = Field(TorchEngineSettings(), description="what samples the completions")
    prompts_per_step: Positive = Field(8, description="problems per step")
    group_size: Annotated[int, Field(ge=2)] = Field(8, description="completions of each problem")
    max_prompt_tokens: Positive = Field(512, description="a longer prompt is an error unless skipped")
    skip_long_prompts: bool = Field(False, description="skip problems whose prompt is too long")
    max_completion_tokens: Positive = 1024
    temperature: PositiveFloat = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = Field(0, description="0 keeps the whole vocabulary")
    max_sequences: Positive | None = Field(
        None, description="rows of the key/value cache; null: all completions of a step at once"
    )
    max_extra_groups: NonNegative = Field(
        0.0,
        description="dynamic sampling: groups whose rewards are all equal are replaced by new problems, at most this "
        "many times prompts_per_step extra; 0: off",
    )


class OptimizerSettings(Section):
    """AdamW (or Muon for hidden matrices) and its learning-rate schedule."""

    name: Literal["adamw", "muon"] = Field("adamw", description="muon: hidden matrices by Muon, the rest by AdamW")
    learning_rate: PositiveFloat = 1e-6
    muon_learning_rate: PositiveFloat = Field(0.02, description="of the hidden matrices, if name is muon")
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    epsilon: PositiveFloat = 1e-8
    weight_decay: NonNegative = 0.0
    max_grad_norm: PositiveFloat = 1.0
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_fraction: Fraction = Field(0.1, description="share of all steps, rising to the full rate")
    min_lr_fraction: Fraction = Field(0.1, description="the floor, as a share of the full rate")


class EvaluationSettings(Section):
    """How accuracy is measured on the validation and test problems."""

    every: Positive | None = Field(None, description="steps between evaluations; null: only the base and the end")
    samples_per_problem: Positive = 4
    temperature: NonNegative = Field(0.6, description="0 is greedy")
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_completion_tokens: Positive | None = Field(None, description="null: as in the rollout")
    max_sequences: Positive = Field(256, description="rows of the key/value cache")
    seed: int = 0


class TrainingSettings(Section):
    """Steps, batch sizes, and which checkpoints are kept."""

    steps: Positive
    micro_batch_tokens: Positive = Field(16384, description="padded tokens of a forward pass, prompt included")
    logits_chunk_tokens: Positive = Field(1024, description="tokens whose logits exist at once")
    save_every: Positive | None = Field(None, description="steps between checkpoints to resume from; null: none")
    keep_last: Positive | None = Field(None, description="newest checkpoints to keep, in addition to best; null: all")
    keep_steps: tuple[Positive, ...] = Field((), description="steps whose checkpoints are never removed")


class BudgetSettings(Section):
    """What a run may cost. It ends early enough to evaluate and save within the cap; see docs/checkpoints.md."""

    hours: PositiveFloat | None = Field(None, description="wall clock, over all resumes")
    usd: PositiveFloat | None = Field(None, description="hours x usd_per_hour; needs usd_per_hour")
    usd_per_hour: PositiveFloat | None = Field(None, description="price of the machine; alone, it only logs the cost")
    tokens: Positive | None = Field(None, description="completion tokens sampled, including evaluations")
    steps: Positive | None = Field(None, description="fewer than training.steps, under the same schedule")

    @model_validator(mode="after")
    def _dollars_need_a_price(self) -> Self:
        if self.usd is not None and self.usd_per_hour is None:
            raise ValueError("a budget in usd needs the machine's price: give usd_per_hour")
        return self


class SelectionSettings(Section):
    """Which checkpoint is kept: the best on validation, see docs/reading-the-numbers.md."""

    patience: Positive | None = Field(
        None,
        description="end the run after so many evaluations in a row that did not beat the best one, or when one is "
        "worse than it with p < 0.05; null: never",
    )


class TrackerSettings(Section):
    """A tracker in addition to the JSONL log."""

    name: Literal["wandb", "trackio", "tensorboard"]
    project: str = "frugalrl"


class TrainRecipe(Section):
    """`frugalrl train`: GRPO with verifiable rewards."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    description: str = ""
    seed: int = 0
    model: ModelSettings = ModelSettings()
    data: DataSettings
    rewards: Annotated[tuple[RewardTerm, ...], Field(min_length=1)]
    verifier: VerifierSettings = VerifierSettings()
    rollout: RolloutSettings = RolloutSettings()
    algorithm: AlgorithmSettings = AlgorithmSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    training: TrainingSettings
    guard: GuardSettings = GuardSettings()
    length_schedule: LengthScheduleSettings | None = Field(None, description="null: the cap stays as it is")
    selection: SelectionSettings = SelectionSettings()
    budget: BudgetSettings = BudgetSettings()
    trackers: tuple[TrackerSettings, ...] = ()

    @model_validator(mode="after")
    def _names_are_not_repeated(self) -> Self:
        names = [term.name for term in self.rewards]
        if len(set(names)) < len(names):
            raise ValueError("a reward is named twice: give it once, with the intended weight")
        if all(term.weight == 0 for term in self.rewards):
            raise ValueError("every reward has weight 0: nothing could be learned")
        return self


class GuardPart(Section):
    """The part of a recipe that a replay of the guard needs."""

    guard: GuardSettings = GuardSettings()
    rollout: RolloutSettings = RolloutSettings()
    evaluation: EvaluationSettings = EvaluationSettings()


class ScratchModel(Section):
    """A new Qwen2 model with random weights, and its tokenizer."""

    vocab_size: Annotated[int, Field(ge=300)] = Field(
        448, description="byte-level BPE; 256 bytes + added tokens at least"
    )
    hidden_size: Positive = 128
    intermediate_size: Positive = 384
    layers: Positive = 4
    heads: Positive = 4
    kv_heads: Positive = 2
    context_tokens: Positive = 8192


class CompletionSource(Section):
    """Prompts with completions: rows of a file or Hub data set, or the arithmetic task's strategies."""

    source: str = Field(DEFAULT_SOURCE, description="as for problems")
    split: str = "train"
    subset: str | None = None
    revision: str | None = None
    prompt_field: str = "prompt"
    completion_field: str = "completion"
    limit: Positive | None = None
    seed: int = 0
    mix: Literal["skill", "strategies"] = Field("strategies", description="of the arithmetic task's completions")
    second_language_fraction: Fraction = Field(0.12, description="of the arithmetic task's completions")

    @model_validator(mode="after")
    def _an_endless_task_says_how_much(self) -> Self:
        if splits_of(self.source) and not makes_completions(self.source):
            raise ValueError(f"the {self.source} task has no completions: give a file, a folder or a Hub id")
        if makes_completions(self.source) and self.limit is None:
            raise ValueError(f"the {self.source} task is endless: say how many completions to take with `limit`")
        return self


class SftTrainingSettings(Section):
    """How supervised fine-tuning goes through its data."""

    epochs: Positive = 1
    batch_tokens: Positive = Field(8192, description="tokens of an update, rounded to whole packed rows")
    pack_tokens: Positive = Field(1024, description="tokens of a packed row; a longer example is an error")
    rows_per_forward: Positive | None = Field(None, description="null: the whole update in one forward pass")
    save_every: Positive | None = None
    log_every: Positive = 10


class SftRecipe(Section):
    """`frugalrl sft`: supervised fine-tuning on prompts and completions."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    description: str = ""
    seed: int = 0
    model: ModelSettings = ModelSettings()
    scratch: ScratchModel | None = Field(None, description="make a new model instead of loading model.path")
    phases: Annotated[tuple[CompletionSource, ...], Field(min_length=1)] = Field(
        description="trained one after the other, each shuffled"
    )
    validation: CompletionSource | None = Field(None, description="loss is measured on it")
    prompt: PromptSettings = PromptSettings(template="{problem}")
    optimizer: OptimizerSettings = OptimizerSettings(learning_rate=1e-5)
    training: SftTrainingSettings = SftTrainingSettings()
    trackers: tuple[TrackerSettings, ...] = ()
