"""A small server that speaks vLLM's token protocol and weight transfer, samples from a real model, and fails as told.

It runs in a thread. What each fault looks like was seen on vLLM 0.32: see the table of pitfalls in docs/servers.md.
"""

import copy
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import safetensors.torch
import torch

from frugalrl.rollout.engine import RolloutRequest, SamplingParams
from frugalrl.rollout.server.worker.frugalrl_worker import PROTOCOL, digest
from frugalrl.rollout.torch_engine import TorchEngine
from tests.fake_http import Request, Response, http_server

CLOSED = -1
"""Instead of a status: the connection is closed without an answer."""


class FakeVllm:
    """The state of a server. Faults are switched on by setting attributes."""

    def __init__(self, model: Any) -> None:
        self.start_weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        self.model = copy.deepcopy(model)
        # A head of its own, as vLLM packs one on a CPU: it follows the embedding only where it is told to.
        self.model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
        self.tied = bool(model.config.tie_word_embeddings)
        self.lock, self.state = threading.RLock(), threading.Condition()
        self.asked: list[str] = []
        self.seeds: list[int] = []
        self.fail: dict[str, list[int]] = defaultdict(list)
        """Path -> statuses of the next replies; CLOSED closes the connection."""
        self.hang: dict[str, list[float]] = defaultdict(list)
        """Path -> seconds before the next replies."""
        self.abort_next = 0
        self.skip_update = self.keep_head = self.is_dead = False
        self.lost_tensors: set[str] = set()
        self.version_names: dict[str, str] = {}
        """What is said in place of a version in completions."""
        self.restart()

    def restart(self) -> None:
        """Its first weights and no memory, as after a crash under a supervisor."""
        self.model.load_state_dict(self.start_weights)
        self.adapters: dict[str, Any] = {}
        self.version, self.received, self.is_paused, self.is_updating = "default", {}, False, False
        self.is_asleep = self.stays_asleep = False

    # ---------------------------------------------------------------------------------------------- answers

    def post(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/inference/v1/generate":
            return self.generate(body)
        if path == "/collective_rpc":
            return 200, {"results": [self.reported()]}
        if path == "/pause":
            with self.state:
                self.is_paused = True
            return 200, {"status": "paused"}
        if path == "/resume":
            with self.state:
                self.is_paused = False
                self.state.notify_all()
            return 200, {"status": "resumed"}
        if path == "/sleep":
            return self.sleep(int(query["level"][0]))
        if path == "/wake_up":
            self.is_asleep = self.stays_asleep
            return 200, {"status": "sleeping" if self.is_asleep else "awake", "tags": None}
        if path == "/start_weight_update":
            assert self.is_paused, "an update without a pause"
            assert not self.is_asleep, "an update of a server whose memory is not there"
            self.is_updating, self.received = True, {}
            return 200, {}
        if path == "/update_weights":
            return self.update(Path(body["update_info"]["folder"]))
        if path == "/finish_weight_update":
            self.is_updating, self.version = False, body["weight_version"]
            return 200, {}
        if path == "/v1/load_lora_adapter":
            return self.load_adapter(body["lora_name"], Path(body["lora_path"]))
        if path == "/v1/unload_lora_adapter":
            return (200, None) if self.adapters.pop(body["lora_name"], None) else (404, None)
        if path == "/update_weight_version":
            self.version = body["new_version"]
        return 200, {"success": True}

    def get(self, path: str) -> tuple[int, Any]:
        if path == "/weight_info":
            return 200, {"weight_version": self.version}
        if path == "/is_sleeping":
            return 200, {"is_sleeping": self.is_asleep or self.is_paused}
        return (200, None) if path == "/health" else (404, {"error": "Not Found"})

    def sleep(self, level: int) -> tuple[int, Any]:
        """Level 2 throws the weights away: what is in their place afterwards is whatever was there."""
        self.is_asleep = self.is_paused = True
        if level == 2:
            with self.lock, torch.no_grad():
                for parameter in self.model.parameters():
                    parameter.fill_(0.5)
        return 200, {"status": "sleeping", "level": level}

    def reported(self) -> dict[str, Any]:
        config = self.model.config
        facts = {"protocol": PROTOCOL, "dtype": "float32", "vocab_size": config.vocab_size, "max_model_len": 4096}
        return {**facts, "logprobs_mode": "processed_logprobs", "received": self.received, "repacked": []}

    def update(self, folder: Path) -> tuple[int, Any]:
        tensors = {
            name: tensor
            for file in sorted(folder.glob("*.safetensors"))
            for name, tensor in safetensors.torch.load_file(file).items()
            if name not in self.lost_tensors
        }
        if not tensors:
            return 500, {"error": {"message": f"there are no weights in {folder}"}}
        self.received = {name: digest(tensor) for name, tensor in tensors.items()}
        if self.skip_update:
            return 200, {}
        with self.lock:
            head = self.model.lm_head.weight.detach().clone()
            self.model.load_state_dict(tensors, strict=False)
            if self.tied:
                new = tensors.get("model.embed_tokens.weight", head)
                self.model.lm_head.weight.data.copy_(head if self.keep_head else new)
        return 200, {}

    def load_adapter(self, name: str, folder: Path) -> tuple[int, Any]:
        """Adapters in peft's format, merged into the first weights under a name of their own."""
        config = json.loads((folder / "adapter_config.json").read_text())
        tensors = safetensors.torch.load_file(folder / "adapter_model.safetensors")
        merged = {key: tensor.clone() for key, tensor in self.start_weights.items()}
        for key in tensors:
            if "lora_A" in key:
                scale, up = config["lora_alpha"] / config["r"], tensors[key.replace("lora_A", "lora_B")]
                target = key.removeprefix("base_model.model.").replace("lora_A.", "")
                merged[target] += scale * up @ tensors[key]
        self.adapters[name] = merged
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def choose(self, name: str | None) -> bool:
        """Take the weights of this name; whether there are such."""
        if name is not None and name in self.adapters:
            self.model.load_state_dict(self.adapters[name])
        return name is None or name in self.adapters

    def generate(self, body: dict[str, Any]) -> tuple[int, Any]:
        if self.is_updating:
            self.is_dead = True  # as the engine of vLLM
            return 500, {"error": {"message": "EngineCore encountered an issue"}}
        with self.state:
            self.state.wait_for(lambda: not self.is_paused)
        if self.is_asleep:
            self.is_dead = True  # its memory is not there
            return 500, {"error": {"message": "EngineCore encountered an issue"}}
        if not self.choose(body.get("model")):
            return 404, {"error": {"message": f"The model `{body['model']}` does not exist."}}
        asked = body["sampling_params"]
        if "prompt_logprobs" in asked:
            return 200, {"choices": [], "prompt_logprobs": self.scores(body["token_ids"])}
        with self.lock:
            self.seeds.append(asked.get("seed", -1))
            engine = TorchEngine(self.model, frozenset(asked.get("stop_token_ids", [])), max_sequences=1)
            sampling = SamplingParams(asked["max_tokens"], asked.get("temperature", 1.0), asked.get("top_p", 1.0))
            request = RolloutRequest(tuple(body["token_ids"]), (asked.get("seed", 0),))
            ((sequence,),) = engine.generate([request], sampling)
            version = self.version_names.get(self.version, self.version)
            aborted = self.abort_next > 0
            self.abort_next -= aborted
        tokens = sequence.token_ids[: 1 + len(sequence.token_ids) // 2] if aborted else sequence.token_ids
        content = [
            {"token_id": token, "logprob": logprob, "rank": 1, "top_logprobs": []}
            for token, logprob in zip(tokens, sequence.logprobs, strict=False)
        ]
        choice = {
            "index": 0,
            "finish_reason": "abort" if aborted else sequence.finish_reason,
            "token_ids": list(tokens),
            "weight_versions": [{"version": version, "start": 0, "end": len(tokens)}],
            "logprobs": {"content": content},
        }
        return 200, {"choices": [choice], "prompt_logprobs": None}

    def scores(self, token_ids: list[int]) -> list[Any]:
        with self.lock, torch.no_grad():
            logits = self.model(torch.tensor([token_ids])).logits[0].float()
        logprobs = torch.log_softmax(logits, -1)
        return [None] + [
            {str(token): {"logprob": float(logprobs[at, token]), "rank": 1}} for at, token in enumerate(token_ids[1:])
        ]


@contextmanager
def fake_server(model: Any) -> Iterator[tuple[str, FakeVllm]]:
    """Its url, and its state, in which faults are switched on."""
    fake = FakeVllm(model)

    def answer(request: Request) -> Response | None:
        parsed = urlparse(request.path)
        fake.asked.append(parsed.path)
        if fake.hang[parsed.path]:
            time.sleep(fake.hang[parsed.path].pop(0))
        status = fake.fail[parsed.path].pop(0) if fake.fail[parsed.path] else CLOSED if fake.is_dead else 0
        if status == CLOSED:
            return None
        if status:
            return Response({"error": {"message": "as told"}}, status)
        if request.method == "GET":
            found, said = fake.get(parsed.path)
        else:
            found, said = fake.post(parsed.path, parse_qs(parsed.query), request.body)
        return Response(said, found)

    with http_server(answer) as url:
        yield url, fake
