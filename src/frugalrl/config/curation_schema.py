"""What a curation spec may say: the strict schema of `frugalrl curate`.

Decisions:
- Steps are a list, applied in the order of the spec; each entry names its kind with `step`. A step may be limited to
  some pools, and a step that is deliberately not run says `skip: REASON`, which the report repeats.
- Models are named once, under `solvers`, and steps refer to them by name: an engine in this process or an endpoint.
- A band is a name for a closed range of a number; of overlapping bands the first applies.

Files are read by `config/loading.py`, not here.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from frugalrl.config.schema import TINY_MODEL
from frugalrl.config.section import Fraction, NonNegative, Positive, PositiveFloat, Section

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
SOLVE_TEMPLATE = "{problem}\n\nPlease reason step by step, and put your final answer within \\boxed{}."
"""What the authors of R1-Distill and Qwen2.5-Math recommend for mathematics."""
JUDGE_TEMPLATE = (
    "Decide whether the problem below can stay in a set of training problems. It can stay if it is complete, free of "
    "noise, and asks one question with one answer that can be checked. It has to go if it is noisy or garbled, lacks "
    "something it refers to, asks for a proof, or asks several things.\n\nProblem:\n{problem}\n\n"
    "Answer with one word: KEEP or DROP."
)


class ColumnNames(Section):
    """Column names of a pool. A given name must exist; null means the default, if the pool has it."""

    id: str | None = Field(None, description="default: id; a row without one gets POOL-NUMBER")
    problem: str | None = Field(None, description="the question's text; default: problem")
    answer: str | None = Field(None, description="the gold answer; default: answer")
    solution: str | None = Field(None, description="the written solution; default: solution")
    source: str | None = Field(None, description="origin of the row, for quotas and the report; default: source")


class PoolSettings(Section):
    """A raw pool of problems."""

    name: Name = Field(description="its name in steps, quotas and the report")
    path: str = Field(
        description="a JSONL, JSON, CSV or Parquet file (.gz too), a folder of them, or a Hub id; $NAME of the "
        "environment and ~ are replaced"
    )
    split: str = Field("train", description="of a Hub id")
    subset: str | None = Field(None, description="configuration name of a Hub id")
    revision: str | None = Field(None, description="branch, tag or commit of a Hub id")
    columns: ColumnNames = Field(ColumnNames(), description="column mapping")
    id_prefix: str = Field("", description="prefix of every id, where two pools share ids")
    limit: Positive | None = Field(None, description="take only the first rows")
    expected: Positive | None = Field(None, description="the published number of rows, shown next to ours")
    note: str = Field("", description="why ours differs, shown in the report")


class StepBase(Section):
    """Settings common to all steps."""

    name: Name | None = Field(None, description="its name in ledger and report; default: the step's kind")
    pools: tuple[str, ...] | None = Field(None, description="only rows of these pools; null: of all")
    skip: str | None = Field(None, description="do not run the step, and give this reason in output and report")
    expected: Positive | None = Field(
        None, description="the published number of rows after the step, shown next to ours"
    )
    note: str = Field("", description="why ours differs, shown in the report")

    @model_validator(mode="after")
    def _a_skip_has_a_reason(self) -> Self:
        if self.skip is not None and not self.skip.strip():
            raise ValueError("skip is empty: give the reason, or remove the key to run the step")
        return self


class HasBox(StepBase):
    """Keep only rows whose solution holds a closed \\boxed{}."""

    step: Literal["has_box"] = Field(description="this kind of step")


class GoldFromSolution(StepBase):
    """Rows without an answer get it from the solution: its last box, or what follows ####."""

    step: Literal["gold_from_solution"] = Field(description="this kind of step")
    replace: bool = Field(
        False, description="use the solution's answer wherever it has one, even if the row has an answer"
    )


class GoldParses(StepBase):
    """Keep rows whose gold the verifier can read: a wrong answer to it gets a verdict."""

    step: Literal["gold_parses"] = Field(description="this kind of step")
    action: Literal["drop", "flag"] = Field("drop", description="flag: keep, with gold_fault in the row")
    limit_seconds: PositiveFloat = Field(5.0, description="processor time for one comparison")


class OneQuestion(StepBase):
    """One question with one checkable answer, by rules: no proofs, parts, choices or missing figures."""

    step: Literal["one_question"] = Field(description="this kind of step")
    allow: tuple[str, ...] = Field((), description="reasons that do not drop a row, e.g. multiple_choice")


class Duplicates(StepBase):
    """Exact and near duplicates: equivalent golds are merged, conflicting ones dropped together."""

    step: Literal["duplicates"] = Field(description="this kind of step")
    threshold: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="similarity of near duplicates; null: the one that was measured, see docs/curation-steps.md"
    )
    limit_seconds: PositiveFloat = Field(5.0, description="processor time for one comparison of golds")


class Decontaminate(StepBase):
    """Drop what overlaps with a benchmark; the ledger holds the matched row."""

    step: Literal["decontaminate"] = Field(description="this kind of step")
    benchmarks: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="names of `frugalrl eval`, or paths of your own .jsonl"
    )
    witness: str | None = Field(
        None, description="a name under `solvers`, asked whether an uncertain pair is one problem in other words"
    )
    limit_seconds: PositiveFloat = Field(5.0, description="processor time for one comparison of golds")


class PromptLanguage(StepBase):
    """Keep problems in one language; a text too short to tell is kept."""

    step: Literal["language"] = Field(description="this kind of step")
    language: Annotated[str, Field(pattern="^[a-z]{2}$")] = Field("en", description="ISO 639-1 code")


class PromptTokens(StepBase):
    """Drop problems whose full prompt has too many tokens."""

    step: Literal["prompt_tokens"] = Field(description="this kind of step")
    tokenizer: str = Field(TINY_MODEL, description="model folder, Hub id, or builtin:tiny")
    most: Positive = Field(512, description="tokens of the prompt after the chat template")
    template: str = Field("{problem}", description="user message; {problem} is replaced")
    system: str | None = Field(None, description="system message")


class Band(Section):
    """A named, closed range of the difficulty value. Of overlapping bands the first applies."""

    name: Name = Field(description="what rows, quotas and the report call it")
    low: float = Field(allow_inf_nan=False, description="smallest value of the band")
    high: float = Field(allow_inf_nan=False, description="largest value of the band")

    @model_validator(mode="after")
    def _low_is_not_above_high(self) -> Self:
        if self.low > self.high:
            raise ValueError("low is above high: the band is empty")
        return self


PASS_RATE_BANDS = (
    Band(name="never", low=0.0, high=0.0),
    Band(name="always", low=1.0, high=1.0),
    Band(name="hard", low=0.0, high=0.5),
    Band(name="easy", low=0.5, high=1.0),
)


class Difficulty(StepBase):
    """Bands by a solver's pass rate, or by a column of the pool."""

    step: Literal["difficulty"] = Field(description="this kind of step")
    column: str | None = Field(None, description="a number or 'Level 3' in each row: solve_rate, level ...")
    solvers: tuple[str, ...] = Field((), description="names under `solvers`; the best pass rate counts for a problem")
    samples: Positive = Field(1, description="n: samples of each problem by each solver")
    stop_early: bool = Field(True, description="stop at a problem once no further sample can change its band")
    bands: Annotated[tuple[Band, ...], Field(min_length=1)] = Field(
        PASS_RATE_BANDS, description="ranges of the pass rate or the column; the first that contains a value applies"
    )
    drop: tuple[str, ...] = Field((), description="bands whose problems are dropped")
    cut_off: Literal["unknown", "wrong"] = Field(
        "unknown",
        description="the band of a problem, each of whose samples was cut off or empty; wrong: as if they were wrong "
        "answers",
    )
    missing: Literal["keep", "drop", "error"] = Field(
        "keep", description="rows without a value in the column; kept ones are in the band `unknown`"
    )

    @model_validator(mode="after")
    def _one_kind_of_value(self) -> Self:
        if (self.column is None) == (not self.solvers):
            raise ValueError("give either a column or solvers to take the difficulty from")
        names = [band.name for band in self.bands]
        if len(set(names)) < len(names):
            raise ValueError("two bands have one name: rename one, or join them")
        unknown = [name for name in self.drop if name not in (*names, "unknown")]
        if unknown:
            raise ValueError(f"drop names the band {unknown[0]!r}, the bands are {', '.join(names)}")
        if self.solvers:
            _refuse_uncovered_rates(self.bands, self.samples)
        return self


def _refuse_uncovered_rates(bands: Sequence[Band], samples: int) -> None:
    for correct in range(samples + 1):
        rate = correct / samples
        if not any(band.low <= rate <= band.high for band in bands):
            raise ValueError(f"no band contains the pass rate {correct}/{samples}: close the gap")


class Judge(StepBase):
    """Ask a model whether a problem is noisy or has several parts."""

    step: Literal["judge"] = Field(description="this kind of step")
    solver: str = Field(description="a name under `solvers`")
    template: str = Field(JUDGE_TEMPLATE, description="user message; {problem} is replaced; asks for KEEP or DROP")
    unclear: Literal["keep", "drop"] = Field(
        "keep", description="what becomes of a problem whose answer is neither word"
    )


class Quota(Section):
    """How many problems of some pools, sources and bands are taken."""

    count: Positive = Field(description="problems to take")
    pools: tuple[str, ...] | None = Field(None, description="null: any")
    sources: tuple[str, ...] | None = Field(None, description="null: any")
    bands: tuple[str, ...] | None = Field(None, description="null: any")
    expected: Positive | None = Field(None, description="the published number, where count is smaller here")


class Mix(StepBase):
    """Quotas by pool, source and band, drawn with the spec's seed; rows in no quota are dropped."""

    step: Literal["mix"] = Field(description="this kind of step")
    quotas: Annotated[tuple[Quota, ...], Field(min_length=1)] = Field(description="served in this order")
    allow_short: bool = Field(False, description="take what there is where a band holds less than its quota")


Step = Annotated[
    HasBox
    | GoldFromSolution
    | GoldParses
    | OneQuestion
    | Duplicates
    | Decontaminate
    | PromptLanguage
    | PromptTokens
    | Difficulty
    | Judge
    | Mix,
    Field(discriminator="step"),
]


class SolverBase(Section):
    """How a solver is prompted."""

    template: str = Field(SOLVE_TEMPLATE, description="user message; {problem} is replaced")
    system: str | None = Field(None, description="system message")
    temperature: NonNegative = Field(0.7, description="0 is greedy")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="keep the likeliest tokens that together reach this probability; 1 keeps all"
    )
    max_completion_tokens: Positive = Field(4096, description="the cap; a completion that reaches it is cut off")
    stands_for: str = Field("", description="the published solver that this one stands in for, shown in the report")

    @model_validator(mode="after")
    def _template_holds_the_problem(self) -> Self:
        if "{problem}" not in self.template:
            raise ValueError("the template has no {problem}: the solver would never see the question")
        return self


class EngineSolver(SolverBase):
    """A model sampled in this process."""

    kind: Literal["engine"] = Field(description="this kind of solver")
    model: str = Field(TINY_MODEL, description="folder in Hub layout, Hub id, or builtin:tiny")
    revision: str | None = Field(None, description="branch, tag or commit of a Hub id")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="compute dtype")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes a GPU if there is one")
    max_sequences: Positive = Field(64, description="rows of the key/value cache")


class EndpointSolver(SolverBase):
    """A model behind an OpenAI-compatible server (vLLM, llama.cpp, a hosted one)."""

    kind: Literal["endpoint"] = Field(description="this kind of solver")
    url: str = Field(description="up to /v1, e.g. http://localhost:8000/v1")
    model: str = Field(description="its name on the server")
    api: Literal["chat", "tokens"] = Field(
        "chat",
        description="chat: messages, by the server's template; tokens: token ids, to a vLLM server that rolls out for "
        "training",
    )
    tokenizer: str | None = Field(None, description="for api: tokens, the folder or Hub id whose template is used")
    api_key_env: str | None = Field(None, description="the environment variable that holds the key; null: none is sent")
    concurrency: Positive = Field(8, description="requests in flight at once")
    retries: Annotated[int, Field(ge=0)] = Field(
        8, description="retries after a transient failure; pauses grow from one second to two minutes"
    )
    most_failed: Fraction = Field(
        0.05,
        description="share of the problems whose requests may fail permanently, each of them marked; three may in any "
        "case, and none if 0. Above it the run ends",
    )
    timeout_seconds: PositiveFloat = Field(600.0, description="limit of one request")

    @model_validator(mode="after")
    def _token_ids_need_a_tokenizer(self) -> Self:
        if (self.api == "tokens") != (self.tokenizer is not None):
            raise ValueError("api: tokens needs the model's tokenizer, which renders the prompts, and chat takes none")
        return self


Solver = Annotated[EngineSolver | EndpointSolver, Field(discriminator="kind")]


class Splits(Section):
    """How many of the final problems are held out. Near duplicates are never in two splits."""

    validation: Annotated[int, Field(ge=0)] = Field(0, description="problems held out for validation")
    test: Annotated[int, Field(ge=0)] = Field(0, description="problems held out for the test")
    validation_fraction: Fraction | None = Field(None, description="a share of the final problems instead of a number")
    test_fraction: Fraction | None = Field(None, description="a share of the final problems instead of a number")

    @model_validator(mode="after")
    def _one_way_each(self) -> Self:
        if (self.validation and self.validation_fraction is not None) or (self.test and self.test_fraction is not None):
            raise ValueError("a split has a number and a share: give one of them")
        return self


class CurationSpec(Section):
    """`frugalrl curate`: from raw pools to a training set."""

    name: Name = Field(description="names the output folder: letters, digits, `.`, `_` and `-`")
    description: str = Field("", description="shown in the report")
    seed: int = Field(0, description="seed of sampling, mixing, splitting and the near-duplicate search")
    pools: Annotated[tuple[PoolSettings, ...], Field(min_length=1)] = Field(description="raw pools, read in this order")
    solvers: dict[Name, Solver] = Field({}, description="models by the name that steps use")
    steps: Annotated[tuple[Step, ...], Field(min_length=1)] = Field(description="applied in this order")
    splits: Splits = Field(Splits(), description="how many problems are held out")
    samples_cache: str | None = Field(
        None, description="folder of the solvers' samples, shared between specs; null: samples/ in the output folder"
    )

    @model_validator(mode="after")
    def _names_fit_together(self) -> Self:
        pools = [pool.name for pool in self.pools]
        if len(set(pools)) < len(pools):
            raise ValueError("two pools have one name: rename one")
        names = step_names(self.steps)
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise ValueError(f"two steps are called {repeated!r}: give one of them another `name`")
        for name, step in zip(names, self.steps, strict=True):
            _refuse_unknown(f"step {name} names the pool", step.pools or (), pools)
            if isinstance(step, Mix):
                for quota in step.quotas:
                    _refuse_unknown(f"a quota of {name} names the pool", quota.pools or (), pools)
            if isinstance(step, Difficulty):
                _refuse_unknown(f"step {name} names the solver", step.solvers, list(self.solvers))
            if isinstance(step, Decontaminate) and step.witness is not None:
                _refuse_unknown(f"step {name} names the solver", (step.witness,), list(self.solvers))
            if isinstance(step, Judge):
                _refuse_unknown(f"step {name} names the solver", (step.solver,), list(self.solvers))
        return self


def step_names(steps: Sequence[StepBase]) -> list[str]:
    """The name of each step: its own, or its kind."""
    return [step.name or str(step.step) for step in steps]  # type: ignore[attr-defined]  # every kind has `step`


def _refuse_unknown(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    wrong = next((name for name in given if name not in known), None)
    if wrong is not None:
        raise ValueError(f"{what} {wrong!r}, known are {', '.join(known) or 'none'}")
