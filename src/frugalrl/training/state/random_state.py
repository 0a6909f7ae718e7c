"""The global random states: seeded at the start of a run, saved in its checkpoints.

Nothing in this package draws from them but the dropout of LoRA adapters (a test ensures it): problems, samples and
splits have their own streams, made from seeds and positions. They are also saved for users' reward functions, which run
in this process.
"""

import random
from collections.abc import Mapping
from typing import Any

import numpy
import torch


def seed_random_states(seed: int) -> None:
    """Seed Python's, numpy's and torch's global generators."""
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def random_values() -> dict[str, Any]:
    """All global states as JSON values, bytes in hexadecimal."""
    version, key, gauss = random.getstate()
    state: Any = numpy.random.get_state(legacy=False)
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "python": {"version": version, "key": numpy.array(key, dtype="<u4").tobytes().hex(), "gauss": gauss},
        "numpy": {
            "key": state["state"]["key"].astype("<u4").tobytes().hex(),
            "position": int(state["state"]["pos"]),
            "has_gauss": int(state["has_gauss"]),
            "gauss": float(state["gauss"]),
        },
        "torch": _hex(torch.get_rng_state()),
        "cuda": [_hex(one) for one in cuda],
    }


def restore_random_states(values: Mapping[str, Any]) -> None:
    """The inverse of `random_values`. States of GPUs are restored if there are as many as there were."""
    python, legacy = values["python"], values["numpy"]
    key = numpy.frombuffer(bytes.fromhex(python["key"]), dtype="<u4")
    random.setstate((python["version"], tuple(int(word) for word in key), python["gauss"]))
    numpy.random.set_state(
        {
            "bit_generator": "MT19937",
            "state": {
                "key": numpy.frombuffer(bytes.fromhex(legacy["key"]), dtype="<u4"),
                "pos": legacy["position"],
            },
            "has_gauss": legacy["has_gauss"],
            "gauss": legacy["gauss"],
        }
    )
    torch.set_rng_state(_state(values["torch"]))
    if values["cuda"] and torch.cuda.is_available() and torch.cuda.device_count() == len(values["cuda"]):
        torch.cuda.set_rng_state_all([_state(one) for one in values["cuda"]])


def _hex(state: torch.Tensor) -> str:
    return bytes(state.cpu().numpy()).hex()


def _state(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)
