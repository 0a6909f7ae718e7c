"""What a recipe may say: the strict schema of `frugalrl train` and `frugalrl sft`.

Decisions:
- Unknown keys are errors (`loading.py` adds the nearest name); values are not coerced from other types.
- Batch arithmetic is explicit: a step has `prompts_per_step` prompts x `group_size` completions each, and
  `micro_batch_tokens` bounds what is on the device at once. No number has to divide another: micro-batches are filled
  by tokens, and the loss is normalised over the whole batch before it is cut.
- Checks that need only the recipe are made here; checks that need the model or the data are made where these are
  loaded, before the first step.

It does not read files: `loading.py` does. The algorithm's sections are in `algorithm_schema.py`, those of rollouts
and their engines in `engine_schema.py`, the optimizer's in `optimizer_schema.py`, those of a run's length and cost in
`run_schema.py`, those of the guard in `stability_schema.py`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from frugalrl.config.algorithm_schema import AlgorithmSettings
from frugalrl.config.devices_schema import DeviceSettings
from frugalrl.config.distributed_schema import DistributedSettings
from frugalrl.config.dotted_paths import is_dotted_path
from frugalrl.config.engine_schema import RolloutSettings
from frugalrl.config.lora_schema import LoraSettings
from frugalrl.config.optimizer_schema import OptimizerSettings
from frugalrl.config.run_schema import BudgetSettings, MirrorUrl, SelectionSettings, TrainingSettings
from frugalrl.config.section import Fraction, NonNegative, Positive, Section
from frugalrl.config.stability_schema import GuardSettings, LengthScheduleSettings
from frugalrl.config.task_table import TASKS, makes_completions, splits_of
from frugalrl.functions import SAMPLERS, Setting, known_name

DEFAULT_SOURCE = "arithmetic"
"""A task's name; a source that is neither a task's name nor a dotted path is a file, a folder or a Hub id."""
TINY_MODEL = "builtin:tiny"
"""The model path of the tiny reasoner that is shipped as package data."""
BUILTIN_MODELS: Mapping[str, str] = {TINY_MODEL: "tiny", "builtin:tiny-domains": "tiny-domains"}
"""The folder of each shipped model, by its path in a recipe."""


class ModelSettings(Section):
    """The model to start from."""

    path: str = Field(TINY_MODEL, description="folder in Hub layout, Hub id, builtin:tiny or builtin:tiny-domains")
    revision: str | None = Field(None, description="branch, tag or commit of a Hub id")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32",
        description="compute dtype; the optimizer always keeps fp32 master weights; float16 trains with a loss scale",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes a GPU if there is one")
    gradient_checkpointing: bool = Field(False, description="recompute activations: less memory, a third slower")
    lora: LoraSettings | None = Field(None, description="train adapters beside the weights; null: the weights")


class ProblemSource(Section):
    """The source of problems: rows with `problem` and `answer` or `solution`."""

    source: str = Field(
        DEFAULT_SOURCE,
        description="arithmetic, logic, programs, domains (the three in turn), the dotted path of your own task, a "
        "JSONL, JSON, CSV or Parquet file (.gz too), a folder of them, or a Hub id; see docs/data.md",
    )
    task: str | None = Field(
        None,
        description="the task that judges the rows of a file: maths, code, logic, or the dotted path of your own task; "
        "null: recognised by the columns",
    )
    split: str = Field(
        "train",
        description="of a Hub id, a folder, or a task with problems of its own (train, validation, test); ignored "
        "for a file",
    )
    subset: str | None = Field(None, description="configuration name of a Hub id, e.g. main")
    revision: str | None = Field(None, description="branch, tag or commit of a Hub id")
    problem_field: str = Field("problem", description="column of the question")
    answer_field: str = Field(
        "answer",
        description="column of the gold answer; a list means any of its entries; text with #### in it is read as a "
        "solution",
    )
    solution_field: str = Field(
        "solution", description="column read for its last \\boxed{}, or what follows ####, where a row has no answer"
    )
    skip_without_gold: bool = Field(False, description="leave out rows without a gold answer")
    limit: Positive | None = Field(
        None,
        description="take only the first rows (rows that are skipped later count); needed for an endless task; "
        "null: all",
    )
    seed: int = Field(0, description="seed of a task's own problems")
    difficulties: tuple[Literal[1, 2, 3], ...] = Field(
        (1, 2, 3), description="levels of a task's own problems; one that is named twice is drawn twice as often"
    )

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
    args: dict[str, Setting] = Field({}, description="settings of a sampler of your own")
    bands: tuple[str, ...] = Field(
        (),
        description="of a curriculum: values of the column `band`, which `frugalrl curate` writes, the first one first",
    )
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

    train: ProblemSource = Field(description="problems to train on")
    validation: ProblemSource | None = Field(
        None,
        description="held out of training; evaluated at the start, every evaluation.every steps and at the end; "
        "selects the checkpoint",
    )
    test: ProblemSource | None = Field(
        None, description="held out of training; evaluated twice: the base and the kept model"
    )
    prompt: PromptSettings = Field(PromptSettings(), description="how a problem becomes a prompt")
    sampler: SamplerSettings = Field(SamplerSettings(), description="in which order training problems come")


class RewardTerm(Section):
    """One term of the rubric: the reward of a completion is the weighted sum of its terms."""

    name: str = Field(description="a name in docs/rewards, or the dotted path of a function (TRL's signature)")
    weight: float = Field(1.0, allow_inf_nan=False, description="what the value is multiplied with in the sum")
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
    workers: Positive = Field(2, description="worker processes")

    @model_validator(mode="after")
    def _the_backstop_is_behind_the_limit(self) -> Self:
        if self.wall_seconds is not None and self.wall_seconds < self.cpu_seconds:
            raise ValueError("wall_seconds is only a backstop: give at least cpu_seconds")
        return self


class EvaluationSettings(Section):
    """How accuracy is measured on the validation and test problems."""

    every: Positive | None = Field(None, description="steps between evaluations; null: only the base and the end")
    samples_per_problem: Positive = Field(4, description="k of avg@k")
    temperature: NonNegative = Field(0.6, description="0 is greedy")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="as in the rollout")
    max_completion_tokens: Positive | None = Field(None, description="null: as in the rollout")
    max_sequences: Positive = Field(256, description="rows of the key/value cache")
    seed: int = Field(0, description="seed of the samples; base and final model are given the same random numbers")


class TrackerSettings(Section):
    """A tracker in addition to the JSONL log."""

    name: Literal["wandb", "trackio", "tensorboard", "mlflow"] = Field(
        description="must be installed: pip install 'frugalrl[wandb]'"
    )
    project: str = Field("frugalrl", description="the tracker's project (wandb, trackio), or experiment (mlflow)")


class TrainRecipe(Section):
    """`frugalrl train`: GRPO with verifiable rewards."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = Field(
        description="names the run's folder: letters, digits, `.`, `_` and `-`"
    )
    description: str = Field("", description="shown at the start and in model cards")
    seed: int = Field(0, description="seed of the order of problems and of every completion")
    model: ModelSettings = Field(ModelSettings(), description="the model to start from")
    data: DataSettings = Field(description="problems and the prompt around them")
    rewards: Annotated[tuple[RewardTerm, ...], Field(min_length=1)] = Field(
        description="terms of the reward; a completion earns their weighted sum"
    )
    verifier: VerifierSettings = Field(VerifierSettings(), description="limits on comparing answers with golds")
    rollout: RolloutSettings = Field(RolloutSettings(), description="how completions are sampled for training")
    algorithm: AlgorithmSettings = Field(AlgorithmSettings(), description="advantages, loss, masks and the reference")
    optimizer: OptimizerSettings = Field(
        OptimizerSettings(), description="the optimizer and its learning-rate schedule"
    )
    evaluation: EvaluationSettings = Field(
        EvaluationSettings(), description="how accuracy is measured on validation and test problems"
    )
    training: TrainingSettings = Field(description="how long, how much at once, and what is kept")
    guard: GuardSettings = Field(GuardSettings(), description="when the run evaluates on its own, rolls back and stops")
    length_schedule: LengthScheduleSettings | None = Field(
        None, description="how the cap on completion tokens moves; null: it stays as it is"
    )
    selection: SelectionSettings = Field(
        SelectionSettings(), description="whether the run ends early; the best on validation is always kept"
    )
    budget: BudgetSettings = Field(BudgetSettings(), description="what the run may cost")
    distributed: DistributedSettings = Field(
        DistributedSettings(), description="how the processes of torchrun share the run; ignored by one process"
    )
    devices: DeviceSettings = Field(DeviceSettings(), description="which GPU of a machine trains and which serves")
    trackers: tuple[TrackerSettings, ...] = Field(
        (), description="trackers beside metrics.jsonl, which is always written"
    )

    @model_validator(mode="after")
    def _names_are_not_repeated(self) -> Self:
        names = [term.name for term in self.rewards]
        if len(set(names)) < len(names):
            raise ValueError("a reward is named twice: give it once, with the intended weight")
        if all(term.weight == 0 for term in self.rewards):
            raise ValueError("every reward has weight 0: nothing could be learned")
        return self

    @model_validator(mode="after")
    def _adapters_are_there_to_be_sent(self) -> Self:
        if getattr(self.rollout.engine, "weights", None) == "adapter" and self.model.lora is None:
            raise ValueError(
                "rollout.engine.weights is adapter, and there are none: give model.lora, or weights: folder"
            )
        return self

    @model_validator(mode="after")
    def _devices_are_for_what_there_is(self) -> Self:
        engine = self.rollout.engine
        self.devices.refuse_for(self.model.device, getattr(engine, "launch", False), getattr(engine, "arguments", ()))
        return self

    @model_validator(mode="after")
    def _a_reference_on_the_host_is_a_second_model(self) -> Self:
        if self.algorithm.reference_place == "host" and (self.model.lora or self.algorithm.loss.kl_coef == 0):
            why = "with model.lora the reference is the model itself" if self.model.lora else "loss.kl_coef is 0"
            raise ValueError(f"algorithm.reference_place is host, and there is no second model: {why}. Leave it out")
        return self

    @model_validator(mode="after")
    def _old_logprobs_are_of_the_policy_that_sampled(self) -> Self:
        if self.rollout.one_step_off and self.algorithm.old_logprobs == "recompute":
            raise ValueError("one_step_off learns from what older weights sampled: old_logprobs can't be recompute")
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
    hidden_size: Positive = Field(128, description="width of the residual stream")
    intermediate_size: Positive = Field(384, description="width of the feed-forward layers")
    layers: Positive = Field(4, description="transformer layers")
    heads: Positive = Field(4, description="attention heads")
    kv_heads: Positive = Field(2, description="key/value heads")
    context_tokens: Positive = Field(8192, description="the longest input that the model says it takes, in tokens")


class CompletionSource(Section):
    """Prompts with completions: rows of a file or Hub data set, or a task's own, in its strategies."""

    source: str = Field(DEFAULT_SOURCE, description="as for problems")
    split: str = Field("train", description="of a Hub id, or of a task with completions of its own")
    subset: str | None = Field(None, description="configuration name of a Hub id")
    revision: str | None = Field(None, description="branch, tag or commit of a Hub id")
    prompt_field: str = Field("prompt", description="column of the prompt: a text, or a list of messages")
    completion_field: str = Field(
        "completion", description="column of the completion: a text, or a list of one message"
    )
    limit: Positive | None = Field(None, description="take only the first rows; needed for an endless task; null: all")
    seed: int = Field(0, description="seed of a task's own problems")
    difficulties: tuple[Literal[1, 2, 3], ...] = Field((1, 2, 3), description="levels of a task's own problems")
    mix: Literal["skill", "strategies"] = Field(
        "strategies",
        description="of a task's own completions: only right ones, or right and wrong; see docs/tiny-task.md",
    )
    second_language_fraction: Fraction = Field(
        0.12, description="share of the arithmetic task's completions in Chinese"
    )

    @model_validator(mode="after")
    def _an_endless_task_says_how_much(self) -> Self:
        if splits_of(self.source) and not makes_completions(self.source):
            raise ValueError(f"the {self.source} task has no completions: give a file, a folder or a Hub id")
        if makes_completions(self.source) and self.limit is None:
            raise ValueError(f"the {self.source} task is endless: say how many completions to take with `limit`")
        return self


class SftTrainingSettings(Section):
    """How supervised fine-tuning goes through its data."""

    epochs: Positive = Field(1, description="passes over the data")
    batch_tokens: Positive = Field(8192, description="tokens of an update, rounded to whole packed rows")
    pack_tokens: Positive = Field(1024, description="tokens of a packed row; a longer example is an error")
    rows_per_forward: Positive | None = Field(
        None, description="packed rows of a forward pass; null: the whole update in one"
    )
    save_every: Positive | None = Field(
        None, description="updates between checkpoints; null: none (the final model is saved in any case)"
    )
    log_every: Positive = Field(10, description="updates between lines of the log")
    mirror: MirrorUrl = None


class SftRecipe(Section):
    """`frugalrl sft`: supervised fine-tuning on prompts and completions."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = Field(
        description="names the run's folder: letters, digits, `.`, `_` and `-`"
    )
    description: str = Field("", description="shown at the start and in model cards")
    seed: int = Field(0, description="seed of the order of examples, and of a new model's weights")
    model: ModelSettings = Field(ModelSettings(), description="the model to start from; not read with scratch")
    scratch: ScratchModel | None = Field(
        None, description="make a new model instead of loading model.path; null: load it"
    )
    phases: Annotated[tuple[CompletionSource, ...], Field(min_length=1)] = Field(
        description="trained one after the other, each shuffled"
    )
    validation: CompletionSource | None = Field(None, description="its loss is measured once, at the end; null: not")
    prompt: PromptSettings = Field(
        PromptSettings(template="{problem}"),
        description="around prompts that are plain text; a conversation is taken as it is",
    )
    optimizer: OptimizerSettings = Field(
        OptimizerSettings(learning_rate=1e-5), description="the optimizer and its learning-rate schedule"
    )
    training: SftTrainingSettings = Field(
        SftTrainingSettings(), description="passes over the data, batch sizes, checkpoints"
    )
    distributed: DistributedSettings = Field(DistributedSettings(), description="as in a training recipe")
    trackers: tuple[TrackerSettings, ...] = Field(
        (), description="trackers beside metrics.jsonl, which is always written"
    )

    @model_validator(mode="after")
    def _adapters_need_a_model(self) -> Self:
        if self.scratch is not None and self.model.lora is not None:
            raise ValueError("a new model has nothing that adapters could adapt: leave out scratch or model.lora")
        return self
