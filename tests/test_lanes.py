"""Lanes: results in order, errors in their place, torch's threads given back."""

import threading

import pytest
import torch

from frugalrl.lanes import SMALL_PARAMETERS, open_lanes

CPU = torch.device("cpu")


def test_results_come_in_the_order_of_the_items_and_each_call_has_one_thread(torch_threads):
    torch_threads(3)
    both = threading.Barrier(2, timeout=10)

    def work(item):
        if item < 2:
            both.wait()  # passes only if two calls run at once
        return item, torch.get_num_threads(), threading.current_thread() is threading.main_thread()

    with open_lanes(10, CPU) as lanes:
        assert lanes.count == 3
        assert list(lanes.map(work, range(20))) == [(item, 1, False) for item in range(20)]
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(
    ("parameters", "device", "threads"),
    [(10, CPU, 1), (SMALL_PARAMETERS + 1, CPU, 3), (10, torch.device("cuda"), 3)],
)
def test_one_thread_a_large_model_and_a_gpu_have_one_lane_in_the_caller(parameters, device, threads, torch_threads):
    torch_threads(threads)
    with open_lanes(parameters, device) as lanes:
        names = list(lanes.map(lambda item: threading.current_thread().name, range(3)))
        assert (lanes.count, torch.get_num_threads()) == (1, threads)
    assert names == [threading.main_thread().name] * 3


def test_an_error_is_raised_in_its_place_and_what_has_not_begun_is_not_made(torch_threads):
    torch_threads(2)
    made = []

    def work(item):
        made.append(item)
        if item == 3:
            raise ValueError("third")
        return item

    with open_lanes(10, CPU) as lanes:
        results = lanes.map(work, range(100))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="third"):
            next(results)
    assert len(made) < 20
    assert torch.get_num_threads() == 2


def test_a_long_call_hears_that_nobody_waits_any_more(torch_threads):
    torch_threads(2)
    begun, ended = threading.Event(), threading.Event()

    def work(lanes):
        begun.set()
        while not lanes.is_left:
            threading.Event().wait(0.01)
        ended.set()

    def interrupted():
        with open_lanes(10, CPU) as lanes:
            assert next(lanes.map(lambda item: work(lanes) if item else item, [0, 1])) == 0
            begun.wait(10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert ended.is_set()
