"""Products with weights in panels against torch's, and a whole layer as one call against its parts."""

import mmap
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import transformers

from frugalrl.rollout import torch_engine
from frugalrl.rollout.blocked_cache import BlockedCache
from frugalrl.rollout.engine import RolloutRequest, SamplingParams
from frugalrl.rollout.mapped_memory import PAGE_BYTES, Pieces, zeros
from frugalrl.rollout.memory import is_out_of_memory
from frugalrl.rollout.packed_weights import ModelShape
from frugalrl.rollout.projections import Panels, Transposed, layout_for
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.rollout.whole_layers import WholeLayers

CPU = torch.device("cpu")


@pytest.fixture
def wide_vectors(monkeypatch):
    """A processor with them: the kernels compute the same without, but slowly."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def filled(kind, inputs, outputs, biased):
    rest = (Pieces(torch.float32),) if kind is Panels else (torch.float32, CPU)
    made = kind(inputs, outputs, biased, *rest)
    for part, count in enumerate(outputs):
        made.put(part, numbers(count, inputs, seed=part), numbers(count, seed=part) if biased else None)
    return made


@pytest.mark.parametrize(
    ("inputs", "outputs", "biased"),
    [(128, (128, 64, 64), True), (384, (96,), False), (1024, (64,), False), (1, (32,), True)],
)
def test_a_product_is_that_of_torch_and_a_row_has_the_same_bits_in_any_batch(inputs, outputs, biased):
    panels, plain = (filled(kind, inputs, outputs, biased) for kind in (Panels, Transposed))
    x, residual = numbers(210, inputs, seed=7), numbers(210, sum(outputs), seed=8)
    whole, added = panels(x), panels.added_to(residual.clone(), x)
    limit = 3e-6 * inputs**0.5
    assert torch.allclose(whole, plain(x), atol=limit)
    assert torch.allclose(added, plain.added_to(residual.clone(), x), atol=limit)
    for rows in (*range(1, 38), 64, 95, 96, 97, 99, 100, 193):
        assert torch.equal(panels(x[:rows]), whole[:rows])
        assert torch.equal(panels.added_to(residual[:rows].clone(), x[:rows]), added[:rows])


def test_what_is_not_finite_stays_in_its_row():
    panels, x = filled(Panels, 64, (64,), False), numbers(13, 64)
    whole = panels(x)
    x[4, 3] = float("nan")
    broken = panels(x)
    assert broken[4].isnan().all()
    broken[4] = whole[4]
    assert torch.equal(broken, whole)


def test_threads_that_share_the_panels_change_no_bit(torch_threads):
    panels, x = filled(Panels, 512, (512,), True), numbers(40, 512)
    made = []
    for count in (1, 3):
        torch_threads(count)
        made.append(panels(x))
    assert torch.equal(*made)


def test_widths_of_no_whole_panels_and_processors_without_wide_vectors_take_torch(wide_vectors, monkeypatch):
    layout = layout_for(torch.float32, CPU)
    assert isinstance(layout(64, (64, 32), False, torch.float32, CPU), Panels)
    assert isinstance(layout(64, (64, 16), False, torch.float32, CPU), Transposed)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert isinstance(layout_for(torch.float32, CPU)(64, (64, 32), False, torch.float32, CPU), Transposed)


def model_in_panels(architecture):
    """Random, with parts of whole panels, and with what one of the architectures has: biases, norms of heads."""
    name = {"qwen2": "Qwen2", "qwen3": "Qwen3", "llama": "Llama"}[architecture]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(
        vocab_size=96, hidden_size=128, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=1, head_dim=32, initializer_range=0.3, attention_bias=True,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return model


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3", "llama"])
def test_a_layer_as_one_call_has_the_bits_of_its_parts(architecture, wide_vectors, monkeypatch):
    """The parts are called one by one where threads share the rows of a step. Both are near to transformers."""
    model, requests = (
        model_in_panels(architecture),
        [RolloutRequest((5,) * length, (1, 2, 3)) for length in (1, 17, 40)],
    )
    calls, made = [], []
    logits = WholeLayers.logits
    monkeypatch.setattr(WholeLayers, "logits", lambda *given: calls.append(1) or logits(*given))
    for threads in (1, 3):

        def shared(shape, rows, tokens, dtype, *rest, threads=threads):
            return BlockedCache(shape, rows, tokens, dtype, threads)

        monkeypatch.setattr(torch_engine, "make_cache", shared)
        made.append((TorchEngine(model, frozenset({1}), 9).generate(requests, SamplingParams(20)), len(calls)))
    assert made[0][0] == made[1][0]
    assert made[0][1] == made[1][1] > 0
    for request, group in zip(requests, made[0][0], strict=True):
        for one in group:
            ids, own = torch.tensor([request.prompt_ids + one.token_ids]), torch.tensor(one.token_ids)[:, None]
            with torch.no_grad():
                every = model(ids).logits[0, len(request.prompt_ids) - 1 : -1].log_softmax(-1)
            assert torch.allclose(torch.tensor(one.logprobs), every.gather(1, own)[:, 0], atol=1e-4)


@pytest.mark.parametrize("capability", ["AVX2", "DEFAULT"])
def test_a_processor_without_wide_vectors_draws_the_same_tokens(capability, wide_vectors, monkeypatch):
    """`make test-older` has kernels compiled for such a processor, too."""
    model, requests = model_in_panels("qwen3"), [RolloutRequest((5, 6, 7), (1, 2, 3))]
    made = [TorchEngine(model, frozenset({1}), 9).generate(requests, SamplingParams(20))[0]]
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    made.append(TorchEngine(model, frozenset({1}), 9).generate(requests, SamplingParams(20))[0])
    assert made[0] != made[1]  # sums are in another order
    for one, other in zip(*made, strict=True):
        assert one.token_ids == other.token_ids
        assert torch.allclose(torch.tensor(one.logprobs), torch.tensor(other.logprobs), atol=2e-5)


def test_what_does_not_fit_one_call_is_left_to_parts(wide_vectors):
    model, table = model_in_panels("qwen2"), (torch.ones(64, 16), torch.zeros(64, 16))
    for dtype, fits in ((torch.bfloat16, False), (torch.float32, True)):
        weights = TorchEngine(model.to(dtype), frozenset({1}), 5).decoder(64).weights
        assert (WholeLayers.made_for(weights, F.silu, *table) is not None) is fits
    assert WholeLayers.made_for(weights, torch.relu, *table) is None


def test_mapped_memory_is_zero_and_pieces_of_it_do_not_overlap():
    large = zeros(PAGE_BYTES // 8, 3, dtype=torch.float32, huge=True)
    assert large.shape == (PAGE_BYTES // 8, 3)
    assert not large.any()
    pieces = Pieces(torch.float32)
    taken = [pieces.take(*shape) for shape in ((3, 5), (PAGE_BYTES, 2), (7,), (64, 2))]
    for number, one in enumerate(taken):
        one.fill_(number)
    assert [(one.shape, set(one.flatten().tolist())) for one in taken] == [
        ((3, 5), {0.0}), ((PAGE_BYTES, 2), {1.0}), ((7,), {2.0}), ((64, 2), {3.0})
    ]  # fmt: skip
    assert all(one.data_ptr() % 64 == 0 for one in taken)


def smaps_of(address):
    """What the kernel says of the memory at an address: name and kilobytes."""
    inside, found = False, {}
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, *rest = line.split()
        if "-" in name and not name.endswith(":"):
            first, last = (int(one, 16) for one in name.split("-"))
            inside = first <= address < last
        elif inside and rest[-1] == "kB":
            found[name] = int(rest[0])
    return found


def test_huge_pages_are_granted_where_the_system_has_them():
    """Only private memory gets them on request by default."""
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not setting.is_file() or "[never]" in setting.read_text():
        pytest.skip("this system has no pages of 2 MB")
    tensor = zeros(8, PAGE_BYTES, dtype=torch.uint8, huge=True)
    tensor.fill_(1)
    assert smaps_of(tensor.data_ptr() + 4 * PAGE_BYTES)["AnonHugePages:"] > 0


def test_a_cache_takes_memory_only_where_it_is_used():
    """32 rows of up to 32,768 tokens would take 256 MB in fp32."""

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    before = resident()
    cache = BlockedCache(ModelShape(1, 32, 2, 1, 32, 48, 100, 1e-6), 32, 32_768, torch.float32)
    states = torch.ones(1, 17, 1, 32)
    cache.write_prompts(0, 0, [32], states, states)
    assert cache._keys.nbytes + cache._values.nbytes == 1 << 28
    assert resident() - before < 1 << 25


def test_memory_that_is_not_there_is_told_as_torch_tells_it():
    """So that a rollout goes on with fewer rows."""
    with pytest.raises(RuntimeError) as caught:
        zeros(1 << 50, dtype=torch.float32, huge=False)
    assert is_out_of_memory(caught.value)
