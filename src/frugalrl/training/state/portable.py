"""A saved model's files, so that every reader takes them for the same model.

transformers 5 writes some things where transformers 4.57 (and what is built on it) does not look, and the older reader
then takes a default without a word. Each is written twice, or under the name that both read:

    config.json             rope_parameters -> also rope_theta and rope_scaling (else 10,000); dtype -> also torch_dtype
    tokenizer_config.json   class TokenizersBackend -> PreTrainedTokenizerFast, the same thing under the name of both;
                            extra_special_tokens as a list -> additional_special_tokens
    *.safetensors           written 0600 -> the rights of the files beside it

Not covered: readers that convert (GGUF and the like).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

_NEW_GENERIC_CLASS, _GENERIC_CLASS = "TokenizersBackend", "PreTrainedTokenizerFast"


def make_portable(folder: Path) -> None:
    """Complete `config.json` and `tokenizer_config.json` of a saved model. Raises OSError."""
    _rewrite(folder / "config.json", portable_config)
    _rewrite(folder / "tokenizer_config.json", portable_tokenizer_config)


def portable_config(config: dict[str, Any]) -> dict[str, Any]:
    """A model's config with what older readers look for."""
    added: dict[str, Any] = {}
    if "dtype" in config:
        added["torch_dtype"] = config["dtype"]
    rope = config.get("rope_parameters") or {}
    if "rope_theta" in rope:
        added["rope_theta"] = rope["rope_theta"]
        scaling = {key: value for key, value in rope.items() if key != "rope_theta"}
        added["rope_scaling"] = scaling if scaling.get("rope_type", "default") != "default" else None
    return {**config, **added}


def portable_tokenizer_config(config: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer's config under the names that older readers know."""
    renamed = dict(config)
    if renamed.get("tokenizer_class") == _NEW_GENERIC_CLASS:
        renamed["tokenizer_class"] = _GENERIC_CLASS
    if isinstance(renamed.get("extra_special_tokens"), list):
        renamed["additional_special_tokens"] = renamed.pop("extra_special_tokens")
    return renamed


def give_rights_of(sibling: Path, folder: Path) -> None:
    """Give every file below a folder the rights of one that was written plainly. Raises OSError."""
    mode = sibling.stat().st_mode
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)


def _rewrite(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    changed = change(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(changed, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
