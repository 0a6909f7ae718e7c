"""Loading a causal language model and its tokenizer, and what the rest needs to know of them."""

import hashlib
import importlib.resources
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from frugalrl.algorithms.logprobs import token_logprobs
from frugalrl.config.schema import BUILTIN_MODELS, ModelSettings
from frugalrl.errors import ModelError
from frugalrl.hub import UNREACHABLE, hub_access
from frugalrl.training.model.compiled_parts import use_kernels
from frugalrl.training.model.packed_attention import no_mask, use_packed_attention
from frugalrl.training.model.parts import whole
from frugalrl.training.model.tokenizer_checks import end_token_note, end_tokens, refuse_unfit_tokenizer
from frugalrl.training.model.weight_checks import refuse_broken_tensors, refuse_incomplete, refuse_other_head
from frugalrl.training.state.portable import make_portable
from frugalrl.types import MicroBatch

_MODEL_FILE_SIZE = "5GB"
"""Of a file of the model: the Hub's customary limit, under which a 1.5B model in bf16 is one file."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Policy:
    """A model that can be trained and sampled from, with its tokenizer."""

    model: Any
    """A transformers causal LM (`Qwen2ForCausalLM`, `Qwen3ForCausalLM`, `LlamaForCausalLM` ...)."""
    tokenizer: Any
    source: str
    """The folder or Hub id it came from, for model cards and messages."""

    stored: ClassVar[str] = "model*.safetensors"
    """The files that hold its weights in a checkpoint: one, or several shards of a large model."""

    def __post_init__(self) -> None:
        use_packed_attention(self.model)
        use_kernels(self.model)

    def saved_tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds of it, by name, as views of the weights in use."""
        return dict(self.model.state_dict())

    def untied(self) -> set[str]:
        """The names among them that files must hold: a head that is tied to the embedding is saved once."""
        return set(self.saved_tensors()) - ({"lm_head.weight"} if self.model.config.tie_word_embeddings else set())

    def write(self, folder: Path) -> None:
        """Model and tokenizer in Hub layout. Raises OSError."""
        self.model.save_pretrained(folder, state_dict=self.saved_tensors(), max_shard_size=_MODEL_FILE_SIZE)
        self.tokenizer.save_pretrained(folder)
        make_portable(folder)

    def model_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """The weights of the model that it samples as, in order of names."""
        yield from sorted(self.model.state_dict().items())

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    @property
    def wide_products(self) -> bool:
        """Whether matrix products of 16-bit operands can come out in fp32: on a GPU, not on a CPU."""
        return self.device.type == "cuda"

    @property
    def end_token_ids(self) -> frozenset[int]:
        """Any of these ends a completion: the generation config's, and the tokenizer's own."""
        return end_tokens(self.tokenizer, _configured_ends(self.model))

    @property
    def end_token_note(self) -> str | None:
        """A sentence for the user if the chat template ends an answer with none of the end tokens."""
        return end_token_note(self.source, self.tokenizer, _configured_ends(self.model))

    @property
    def pad_token_id(self) -> int:
        """What fills the right of a rectangle. It is never attended to, so any id will do."""
        padding = self.tokenizer.pad_token_id
        return int(padding) if padding is not None else min(self.end_token_ids, default=0)

    @property
    def context_tokens(self) -> int:
        return int(self.model.config.max_position_embeddings)

    def whole(self) -> "Policy":
        """The policy to save: this one, unless its weights are in parts on several processes."""
        return self

    def at_hand(self) -> AbstractContextManager[None]:
        """A block in which its weights lie where it computes; for one whose weights wait elsewhere."""
        return nullcontext()

    def logprobs(
        self,
        input_ids: Tensor,
        wanted: Tensor,
        temperature: float = 1.0,
        chunk_tokens: int = 1024,
        entropy_gradient: bool = False,
        **inputs: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy of the wanted tokens, in row-major order; see `token_logprobs`.

        input_ids: int64 [B, T], padded on the right. wanted: bool [B, T], false in column 0.
        Returns float32 [N] twice, N the number of wanted tokens. Logits exist only for wanted tokens.
        """
        hidden = self.model.model(input_ids=input_ids, use_cache=False, **inputs).last_hidden_state
        before = hidden[:, :-1][wanted[:, 1:]]
        return token_logprobs(
            before,
            self.model.lm_head.weight,
            input_ids[wanted],
            temperature,
            chunk_tokens,
            entropy_gradient,
            self.wide_products,
        )

    def batch_logprobs(
        self, batch: MicroBatch, temperature: float = 1.0, chunk_tokens: int = 1024, entropy_gradient: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy of a micro-batch's loss tokens, float32 [K] twice; see `token_logprobs`."""
        states = self.model.model(
            input_ids=batch.input_ids[None],
            position_ids=batch.position_ids[None],
            attention_mask=no_mask(batch.input_ids.device),
            use_cache=False,
            layout=batch.layout,
        )
        before = states.last_hidden_state[0].index_select(0, batch.before)
        return token_logprobs(
            before,
            self.model.lm_head.weight,
            batch.targets,
            temperature,
            chunk_tokens,
            entropy_gradient,
            self.wide_products,
        )


def load_policy(settings: ModelSettings) -> Policy:
    """Load model and tokenizer. Raises ModelError with what is wrong with the folder or the id.

    A checkpoint that lacks tensors, holds others or holds no numbers is refused, and so is another model's tokenizer.
    """
    import transformers

    quiet_transformers()
    source = resolve_model_path(settings.path)
    device = pick_device(settings.device)
    with nullcontext(True) if isinstance(source, Path) else hub_access() as reachable:
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(str(source), revision=settings.revision)
            model, report = transformers.AutoModelForCausalLM.from_pretrained(
                str(source),
                revision=settings.revision,
                dtype=DTYPES[settings.dtype],
                attn_implementation="sdpa",
                use_safetensors=True,  # nothing is ever unpickled
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # so that they are in the report, by name
            )
        except Exception as error:  # transformers and safetensors raise many kinds, all of them about this model
            why = _first_line(error) if reachable else f"{UNREACHABLE}."
            raise ModelError(
                f"The model {settings.path!r} cannot be loaded: {why} Give a folder in Hub layout "
                "(config.json, model.safetensors, tokenizer.json) or a Hub id that can be reached."
            ) from error
    _refuse_unknown_layout(model, settings.path)
    _refuse_broken(model, tokenizer, report, settings.path)
    model.to(device)
    model.eval()
    if settings.gradient_checkpointing:
        enable_checkpointing(model)
    return Policy(model, tokenizer, settings.path)


def enable_checkpointing(model: Any) -> None:
    """Let a transformers model compute activations again in the backward pass instead of keeping them."""
    # transformers 5.19 has the method under its old name only, of which 5.23 warns.
    name = "activation_checkpointing_enable"
    enable = getattr(model, name if hasattr(model, name) else "gradient_checkpointing_enable")
    enable({"use_reentrant": False})
    model.train()  # transformers recomputes only in training mode; these models hold no dropout


def resolve_model_path(path: str) -> str | Path:
    """The folder behind a shipped model's name or a local path, or a Hub id as it is. Raises ModelError."""
    if path in BUILTIN_MODELS:
        return Path(str(importlib.resources.files("frugalrl"))) / "assets" / BUILTIN_MODELS[path]
    local = Path(path).expanduser()
    if local.is_dir():
        if (local / "adapter_config.json").is_file():
            raise ModelError(
                f"The folder {path} holds an adapter, which would be left out. Merge it into its base (peft: "
                "merge_and_unload) and give the folder of the merged model; a run of frugalrl has it in model/."
            )
        if not (local / "config.json").is_file():
            inside = next((one for one in model_folders(local)), None)
            if inside is not None:
                raise ModelError(f"The folder {path} is a run's, not a model's. Give its model: {inside}")
            raise ModelError(f"The folder {path} holds no model: config.json is missing. Give a folder in Hub layout.")
        return local
    looks_local = path.startswith((".", "/", "~")) or path.count("/") != 1
    if looks_local or local.exists():
        raise ModelError(f"There is no model folder at {path}. Check the path, or give a Hub id such as org/name.")
    return path


def model_folders(folder: Path) -> Iterator[Path]:
    """The models inside a run's folder: the kept one first, then its checkpoints, the newest first."""
    checkpoints = sorted((folder / "checkpoints").glob("*"), reverse=True)
    for place in (folder / "model", *checkpoints, *(one / "model" for one in checkpoints)):
        if (place / "config.json").is_file():
            yield place


def pick_device(wanted: str) -> torch.device:
    """The device of a recipe's word. Raises ModelError for a GPU that is not there."""
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ModelError("The recipe asks for a GPU and torch sees none. Set model.device to auto or cpu.")
    return torch.device("cuda" if available and wanted in ("auto", "cuda") else "cpu")


def quiet_transformers() -> None:
    """No progress bars and no advice of transformers' own between our lines."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def weights_hash(policy: Policy) -> str:
    """Of the weights as they are loaded: the same for a folder that was moved, another after any update."""
    return tensors_hash(policy.model_tensors())


def tensors_hash(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Of names and values."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in tensors:
        digest.update(name.encode())
        in_one_piece: Tensor = whole(tensor.detach()).cpu()
        digest.update(in_one_piece.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def files_hash(path: str) -> str | None:
    """Of the weight files of a model's folder, as bytes; None for a Hub id, whose revision says it.

    Cheaper than `weights_hash` where the model is not loaded anyway: it reads the files once.
    """
    source = resolve_model_path(path)
    if not isinstance(source, Path):
        return None
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(source.glob("*.safetensors")):
        digest.update(file.name.encode())
        with file.open("rb") as opened:
            while chunk := opened.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()


def trainable_parameters(model: nn.Module) -> int:
    """The number of parameters that training changes."""
    return count(p for p in model.parameters() if p.requires_grad)


def count(parameters: Iterable[Tensor]) -> int:
    """How many numbers some tensors hold."""
    return sum(p.numel() for p in parameters)


def _refuse_unknown_layout(model: Any, path: str) -> None:
    """Sampling and log-probabilities walk the module names that Qwen2, Qwen3 and Llama share."""
    if model.config.model_type not in ("qwen2", "qwen3", "llama"):
        raise ModelError(
            f"The model {path!r} is of type {model.config.model_type!r}. Use a Qwen2, Qwen3 or Llama checkpoint."
        )
    if any(kind != "full_attention" for kind in getattr(model.config, "layer_types", None) or ()):
        raise ModelError(f"The model {path!r} uses sliding-window attention, which is not supported. Use another.")
    if (model.config.rope_parameters or {}).get("rope_type") == "longrope":
        raise ModelError(
            f"The model {path!r} has rotations (longrope) that depend on what it is computed with. Use another."
        )


def _refuse_broken(model: Any, tokenizer: Any, report: Mapping[str, Any], path: str) -> None:
    refuse_incomplete(path, report)
    embedding = model.model.embed_tokens.weight
    refuse_other_head(path, model.config.tie_word_embeddings, model.lm_head.weight, embedding)
    refuse_broken_tensors(path, model.named_parameters())
    refuse_unfit_tokenizer(path, tokenizer, embedding.shape[0], _configured_ends(model))


def _configured_ends(model: Any) -> list[int]:
    """`eos_token_id` of generation_config.json: nothing, a number, or several."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    return [token for token in listed if token is not None]


def _first_line(error: Exception) -> str:
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return line if line.endswith((".", "!", "?")) else f"{line}."
