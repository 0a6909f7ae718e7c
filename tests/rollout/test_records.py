"""One log-probability, version and loss-mask entry for each token, from the engine to the completion."""

import pytest

from frugalrl.rollout.collect import collect_groups
from frugalrl.rollout.engine import RolloutRequest, SampledSequence, SamplingParams, WeightFolder
from frugalrl.rollout.scripted_engine import ScriptedEngine
from frugalrl.types import Completion, Problem, Prompt


def completion(tokens=2, logprobs=2, versions=2, mask=2) -> Completion:
    return Completion("", (5,) * tokens, (-1.0,) * logprobs, "stop", (0,) * versions, 0, (True,) * mask)


def sequence(tokens=2, logprobs=2, versions=2, mask=2) -> SampledSequence:
    return SampledSequence((5,) * tokens, (-1.0,) * logprobs, "stop", (0,) * versions, (True,) * mask)


@pytest.mark.parametrize("make", [completion, sequence])
@pytest.mark.parametrize(
    ("lengths", "says"),
    [
        ({"logprobs": 1}, "2 tokens needs one log-probability for each, not 1"),
        ({"versions": 3}, "2 tokens needs one policy version for each, not 3"),
        ({"mask": 1}, "2 tokens needs one entry of the loss mask for each, not 1"),
    ],
)
def test_lengths_must_agree(make, lengths, says):
    with pytest.raises(ValueError, match=says):
        make(**lengths)


@pytest.mark.parametrize("make", [completion, sequence])
def test_every_token_counts_unless_said_otherwise(make):
    assert make(mask=0).loss_mask == (True, True)
    assert make(0, 0, 0, 0).loss_mask == ()


def test_mask_and_versions_travel_from_the_engine_to_the_completion(tokenizer):
    engine = ScriptedEngine(lambda prompt, seed: (7, 8, 9, 2), loss_mask=lambda ids: tuple(i != 8 for i in ids))
    engine.load_weights(WeightFolder("anywhere"), 6)
    prompt = Prompt(Problem("p", "", ""), "", (1, 2))
    (group,) = collect_groups(engine, tokenizer, [prompt], 2, SamplingParams(3), ("test",))
    for one in group.completions:
        assert one.token_ids == (7, 8, 9)
        assert one.loss_mask == (True, False, True)
        assert one.policy_versions == (6, 6, 6)


def test_the_script_may_be_shorter_than_the_cap():
    ((one,),) = ScriptedEngine(lambda prompt, seed: (7, 2)).generate([RolloutRequest((1,), (0,))], SamplingParams(9))
    assert (one.finish_reason, one.policy_versions, one.loss_mask) == ("stop", (0, 0), (True, True))
