"""What a recipe may say about its rollouts, and about the engine that samples them: sections distinguished by `kind`.

Each engine has a builder in `rollout/factory.py`. Whether it can do what the rest of the section wants is checked here;
whether a server is what it should be is checked when the run connects to it.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from frugalrl.config.section import NonNegative, Positive, PositiveFloat, Section


class TorchEngineSettings(Section):
    """The engine in process: samples with the policy's own weights, on CPU or one GPU."""

    kind: Literal["torch"] = Field("torch", description="which engine")


class VllmEngineSettings(Section):
    """vLLM servers: running ones, or started and supervised by the run. See docs/servers.md."""

    kind: Literal["vllm"] = Field("vllm", description="which engine")
    url: str | tuple[str, ...] = Field(
        (), description="of a running server, e.g. http://127.0.0.1:8000; several share the load"
    )
    launch: bool = Field(
        False,
        description="start servers on this machine, and end them with the run, on the GPUs of `devices`; not with url",
    )
    environment: str | None = Field(
        None, description="folder of the environment that holds vLLM (its bin/python is used); needed to launch"
    )
    arguments: tuple[str, ...] = Field(
        (), description="more arguments of each launched server, e.g. ['--gpu-memory-utilization', '0.4']"
    )
    weights: Literal["folder", "nccl", "adapter"] = Field(
        "folder",
        description="how new weights reach the servers: a folder that both sides see; nccl between the GPUs of one "
        "node; adapter: with model.lora, only the adapters, through that folder",
    )
    weights_folder: str | None = Field(
        None, description="that folder, under the same path on both sides; null: in the run's folder"
    )
    sleep: bool = Field(
        False,
        description="for servers on the trainer's own GPU: they give its memory back during each update, and get the "
        "new weights when they wake; servers at a url need --enable-sleep-mode",
    )
    request_seconds: PositiveFloat = Field(1800.0, description="time limit of one completion; then it is sampled again")
    start_seconds: PositiveFloat = Field(900.0, description="how long a launched server may take to be ready")
    max_restarts: Annotated[int, Field(ge=0)] = Field(
        3, description="how often a server that failed is started or connected to again, each"
    )
    probe_completions: Positive = Field(
        16, description="completions whose log-probs must agree with the trainer's after each update of the weights"
    )
    probe_mean: PositiveFloat | None = Field(
        None, description="largest mean difference of a fresh server, nats a token; null: by dtype"
    )
    probe_max: PositiveFloat | None = Field(
        None, description="largest difference at one token of a fresh server, nats; null: by dtype"
    )

    @model_validator(mode="after")
    def _it_is_clear_which_servers(self) -> Self:
        if self.launch == bool(self.url):
            raise ValueError("give either the url of running servers, or launch: true with an environment")
        if self.launch and self.environment is None:
            raise ValueError("launch needs the environment that holds vLLM: give the folder of it")
        launched_only = [name for name in ("environment", "arguments") if getattr(self, name)]
        if launched_only and not self.launch:
            raise ValueError(f"{launched_only[0]} is of servers to launch: leave it out with url")
        if self.sleep and self.weights != "folder":
            raise ValueError(
                f"sleep throws a server's weights away, and weights: {self.weights} can't bring all of them back: use "
                "folder"
            )
        wrong = next((one for one in self.urls if not one.startswith(("http://", "https://"))), None)
        if wrong is not None:
            raise ValueError(f"{wrong!r} is no url: write for example http://127.0.0.1:8000")
        if len(set(self.urls)) < len(self.urls):
            raise ValueError("a url is named twice")
        return self

    @property
    def urls(self) -> tuple[str, ...]:
        """Of the running servers; none if they are launched."""
        given = (self.url,) if isinstance(self.url, str) else self.url
        return tuple(one.rstrip("/").removesuffix("/v1") for one in given)


def kind(section: Any) -> Any:
    """Which engine a section is about: the one in process where nothing is said."""
    return section.get("kind", "torch") if isinstance(section, dict) else getattr(section, "kind", None)


EngineSettings = Annotated[
    Annotated[TorchEngineSettings, Tag("torch")] | Annotated[VllmEngineSettings, Tag("vllm")], Discriminator(kind)
]
"""What `rollout.engine` may be."""


class RolloutSettings(Section):
    """How completions are sampled for training."""

    engine: EngineSettings = Field(TorchEngineSettings(), description="what samples the completions")
    prompts_per_step: Positive = Field(8, description="problems per step")
    group_size: Annotated[int, Field(ge=2)] = Field(8, description="completions of each problem")
    max_prompt_tokens: Positive = Field(512, description="a longer prompt is an error unless skipped")
    skip_long_prompts: bool = Field(False, description="leave out problems whose prompt is too long")
    max_completion_tokens: Positive = Field(1024, description="the cap; a completion that reaches it is truncated")
    temperature: PositiveFloat = Field(1.0, description="the logits are divided by it")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="keep the likeliest tokens that together reach this probability; 1 keeps all"
    )
    top_k: Annotated[int, Field(ge=0)] = Field(0, description="0 keeps the whole vocabulary")
    max_sequences: Positive | None = Field(
        None, description="rows of the key/value cache; null: all completions of a step at once"
    )
    max_extra_groups: NonNegative = Field(
        0.0,
        description="dynamic sampling: groups whose rewards are all equal are replaced by new problems, at most this "
        "many times prompts_per_step extra; 0: off",
    )
    one_step_off: bool = Field(
        False,
        description="sample the next batch while learning from this one, each batch one step off policy; needs servers",
    )

    @model_validator(mode="after")
    def _a_server_can_do_it(self) -> Self:
        if not isinstance(self.engine, VllmEngineSettings):
            if self.one_step_off:
                raise ValueError("one_step_off samples beside the update, which only servers do: give engine.kind vllm")
            return self
        if self.top_p < 1 or self.top_k > 0:
            raise ValueError(
                "vLLM's log-probs are normalised over the tokens that top_p and top_k leave, so the ratios of the loss "
                "would be wrong: keep top_p 1 and top_k 0 (evaluation.top_p is free)"
            )
        if self.one_step_off and self.engine.sleep:
            raise ValueError("one_step_off samples beside the update, during which a server sleeps: use one of them")
        if self.one_step_off and self.max_extra_groups > 0:
            raise ValueError("max_extra_groups waits for rewards, which one_step_off does not: use one of them")
        return self
