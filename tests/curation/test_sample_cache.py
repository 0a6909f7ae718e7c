"""The cache of samples survives kills, and refuses what it cannot read."""

import pytest

from frugalrl.curation.sample_cache import FILE_NAME, Sample, SampleCache, sample_key
from frugalrl.errors import OutputError

SAMPLE = Sample("so \\boxed{5}\n", "stop", 12, False)


def test_samples_and_verdicts_come_back_as_they_were(tmp_path):
    key = sample_key("model", "asked", "problem")
    with SampleCache(tmp_path) as cache:
        assert cache.get(key, 0) is None
        cache.add(key, 0, SAMPLE)
        cache.add_verdict(key, 0, "5", "correct")
        cache.add(key, 1, Sample("é", "length", 3, True))
    with SampleCache(tmp_path) as cache:
        assert cache.get(key, 0) == SAMPLE
        assert cache.get(key, 1) == Sample("é", "length", 3, True)
        assert cache.verdict(key, 0, "5") == "correct"
        assert cache.verdict(key, 0, "6") is None
        assert len(cache) == 2


def test_a_half_written_last_line_loses_that_sample_alone(tmp_path):
    with SampleCache(tmp_path) as cache:
        for number in range(3):
            cache.add("key", number, SAMPLE)
    file = tmp_path / FILE_NAME
    whole = file.read_bytes()
    for cut in (1, 20, len(whole.splitlines()[-1])):
        file.write_bytes(whole[:-cut])
        with SampleCache(tmp_path) as cache:
            assert [cache.get("key", number) for number in range(3)] == [SAMPLE, SAMPLE, None]
            cache.add("key", 2, SAMPLE)
        assert file.read_bytes() == whole


def test_a_line_that_is_no_sample_is_named(tmp_path):
    (tmp_path / FILE_NAME).write_text('{"key": "k"}\n')
    with pytest.raises(OutputError, match="line 1 is no sample"):
        SampleCache(tmp_path)


def test_one_process_at_a_time(tmp_path):
    with SampleCache(tmp_path), pytest.raises(OutputError, match="Another process"):
        SampleCache(tmp_path)


def test_keys_tell_solver_prompt_and_problem_apart():
    keys = {sample_key(*parts) for parts in (("a", "b", "c"), ("a", "b", "d"), ("a", "x", "c"), ("x", "b", "c"))}
    assert len(keys) == 4
