"""Recorded steps: which bucket, when it is recorded, and that replays do what plain steps do."""

import contextlib
import copy
import types

import pytest
import torch

from frugalrl.rollout import projections, torch_engine
from frugalrl.rollout import sampling as sampling_module
from frugalrl.rollout.engine import RolloutRequest, SamplingParams
from frugalrl.rollout.graphs import PLAIN_STEPS, PlainSteps, RecordedSteps, cuda_recorder, row_bucket, width_bucket
from frugalrl.rollout.kv_cache import SdpaCache
from frugalrl.rollout.torch_engine import TorchEngine


class FakeRecorder:
    """As CUDA records: while recording nothing is done, a replay does what was recorded, on the same memory."""

    def __init__(self) -> None:
        self.recorded = 0
        self.replayed = 0

    def __call__(self, work):
        self.recorded += 1

        def replay():
            self.replayed += 1
            work()

        return replay


@pytest.mark.parametrize(
    ("rows", "limit", "bucket"),
    [(1, 72, 2), (2, 72, 2), (3, 72, 4), (8, 72, 8), (9, 72, 16), (70, 72, 72), (70, 71, 71), (1, 2, 2)],
)
def test_rows_are_rounded_up_to_a_bucket_and_never_past_the_cache(rows, limit, bucket):
    assert row_bucket(rows, limit) == bucket


@pytest.mark.parametrize(("longest", "bucket"), [(1, 256), (256, 256), (257, 512), (1025, 1536), (3700, 3712)])
def test_columns_are_rounded_up_to_a_bucket_and_never_past_the_cache(longest, bucket):
    assert width_bucket(longest, 3712) == bucket


def test_a_bucket_hides_no_row_and_no_column():
    for limit in (2, 7, 64, 72, 200):
        assert all(rows <= row_bucket(rows, limit) <= limit for rows in range(1, limit + 1))
        assert all(longest <= width_bucket(longest, limit) <= limit for longest in range(1, limit + 1))


def test_a_bucket_is_run_plainly_first_then_recorded_once_and_replayed():
    shapes: list[tuple[int, int]] = []
    recorder = FakeRecorder()
    runner = RecordedSteps(16, 600, recorder)

    def step(rows, width):
        shapes.append((rows, width))

    for longest in range(250, 262):
        runner.run(step, 5, longest)
    # Every step is done exactly once: the recording itself does nothing.
    assert shapes == [(8, 256)] * 7 + [(8, 512)] * 5
    assert (recorder.recorded, recorder.replayed) == (2, 12 - 2 * PLAIN_STEPS)


def test_plain_steps_take_the_rows_as_they_are_and_hardly_more_columns_than_needed():
    shapes: list[tuple[int, int]] = []
    runner = PlainSteps(40)
    for longest in (1, 16, 17, 39):
        runner.run(lambda rows, width: shapes.append((rows, width)), 5, longest)
    assert shapes == [(5, 16), (5, 16), (5, 32), (5, 40)]


@pytest.mark.parametrize("sampling", [SamplingParams(40), SamplingParams(40, 0.8, top_p=0.9), SamplingParams(40, 0)])
@pytest.mark.parametrize("rows", [1, 3, 12])
def test_an_engine_with_recorded_steps_samples_what_one_without_does(policy, monkeypatch, sampling, rows):
    """Padded rows and columns change nothing, and rows that come, go and move are followed by the replays."""
    requests = [RolloutRequest(tuple(range(3, 3 + length)), (1, 2, 3)) for length in (1, 4, 9, 30)]
    ends = frozenset(range(0, 300, 90))
    monkeypatch.setattr(torch_engine, "make_cache", SdpaCache)  # a GPU's; what a CPU runs is never recorded
    plain = TorchEngine(policy.model, ends, rows).generate(requests, sampling)
    recorders: list[FakeRecorder] = []

    def recorded(self, cache):
        recorders.append(FakeRecorder())
        return RecordedSteps(cache.rows, cache.tokens, recorders[-1])

    monkeypatch.setattr(torch_engine.TorchEngine, "_runner", recorded)
    again = TorchEngine(policy.model, ends, rows).generate(requests, sampling)
    assert recorders[0].replayed > recorders[0].recorded > 0
    for group, other in zip(plain, again, strict=True):
        assert [s.token_ids for s in group] == [s.token_ids for s in other]
        for one, same in zip(group, other, strict=True):
            assert torch.allclose(torch.tensor(one.logprobs), torch.tensor(same.logprobs), atol=1e-5)


def test_a_step_asks_the_host_for_nothing(policy, monkeypatch):
    """What a CUDA graph cannot record: a value that the host reads. Here any read inside of a step is an error."""
    model = copy.deepcopy(policy.model)
    monkeypatch.setattr(torch_engine, "make_cache", SdpaCache)
    monkeypatch.setattr(projections, "panels_pay", lambda device: False)
    monkeypatch.setattr(sampling_module, "_has_kernel", lambda *given: False)

    def refuse(*arguments):
        raise AssertionError("the host read a value inside of a step")

    def guarded(self, cache):
        return RecordedSteps(cache.rows, cache.tokens, lambda work: lambda: without_reads(work))

    def without_reads(work):
        with monkeypatch.context() as patched:
            for name in ("item", "tolist", "__bool__", "__int__", "__float__", "cpu", "numpy", "nonzero"):
                patched.setattr(torch.Tensor, name, refuse)
            work()

    monkeypatch.setattr(torch_engine.TorchEngine, "_runner", guarded)
    engine = TorchEngine(model, frozenset({1}), 6)
    sequences = engine.generate([RolloutRequest((5, 6, 7), tuple(range(6)))], SamplingParams(20))[0]
    assert max(len(sequence.token_ids) for sequence in sequences) > PLAIN_STEPS + 1


class FakeCuda:
    """What `cuda_recorder` uses of torch.cuda; a recording in which something failed cannot be ended."""

    def __init__(self, monkeypatch):
        self.stream, self.modes = "main", []
        for name in ("graph_pool_handle", "CUDAGraph", "current_stream", "set_stream", "graph"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))

    def graph_pool_handle(self):
        return "pool"

    def CUDAGraph(self):  # noqa: N802  # torch's name
        return types.SimpleNamespace(replay="replay")

    def current_stream(self):
        return self.stream

    def set_stream(self, stream):
        self.stream = stream

    @contextlib.contextmanager
    def graph(self, graph, pool, capture_error_mode):
        self.stream, mode = "recording", capture_error_mode
        self.modes.append(mode)
        try:
            yield
        except BaseException:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture") from None
        self.stream = "main"


def test_memory_that_runs_out_in_a_recording_is_said_as_that_and_the_stream_is_the_old_one(monkeypatch):
    """Then the rollout is tried again with fewer rows; torch's own error would end the run."""
    cuda = FakeCuda(monkeypatch)
    record = cuda_recorder()
    assert record(lambda: None) == "replay"

    def too_large():
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        record(too_large)
    assert cuda.stream == "main"
    assert cuda.modes == ["thread_local"] * 2
