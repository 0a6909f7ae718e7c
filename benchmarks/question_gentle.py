"""Other domains and length schedules again, at a rate that their bases bear. Pure.

Registered after the first tries at 4e-4 were known, and before any run of what follows but four pilots of seed 99. That
rate damaged both bases: no domain gained what was predicted from its own training, and every arm of the length
schedules ended below its base's 87 %. In the pilots, on validation problems, 120 steps of arithmetic took the base of
three domains from 41 to 47 % at 1e-4, and 150 steps took it to 36 % at 4e-4. A cap of 192 and growing caps spent 2,400
and 1,500 tokens a step at 1e-4, by which the steps of the staged arms are set: they come to 60,000 tokens as all do.

Decisions beyond those of question_first.py:
- 408 test problems a domain, not 102: at 102 the evaluation's own noise was as large as the effects.
- The length reward, registered in the second round and not run, is asked here, at this rate.
- Holm's correction is over this round's primary comparisons.

Not covered: other rates.
"""

from collections.abc import Mapping
from dataclasses import replace

from question_domains import DOMAINS, domain_arms
from question_first import FIRST, lengths, staged
from question_forms import Arm, Comparison, Question, Words

GENTLE_TESTS = tuple(f"domains-large/{name}.jsonl" for name in ("arithmetic", "logic", "programs"))
"""Below the data folder."""
_RATE = "optimizer.learning_rate=1.0e-4"
_FIXED = (_RATE, "training.steps=60")
_GROWING = ("deepscaler", _RATE, "training.steps=42")


def _cosine(gate: str = "") -> str:
    bounds = "max_length_tokens: 192, correct_at_zero: 1.0, correct_at_max: 0.5, wrong_at_zero: -0.5, wrong_at_max: 0.0"
    return f"rewards=[{{name: cosine, weight: 1.0, args: {{{bounds}}}{gate}}}, {{name: format, weight: 0.5}}]"


_GATED = _cosine(", gate_group_accuracy: 0.5")
_CAP_64, _CAP_192 = (f"rollout.max_completion_tokens={cap}" for cap in (64, 192))
_LENGTHS: Mapping[str, Arm] = {
    "cap 64": lengths(_CAP_64, *_FIXED),
    "cap 192": lengths(_CAP_192, *_FIXED),
    "growing": staged(*_GROWING),
    "grow, shrink": staged("fastcurl", _RATE, "training.steps=40"),
    "adaptive": lengths(
        _CAP_64, *_FIXED, "length_schedule={kind: adaptive, every: 4, least_tokens: 64, most_tokens: 192}"
    ),
    "cap 192, cosine": lengths(_CAP_192, *_FIXED, _cosine()),
    "cap 192, gated": lengths(_CAP_192, *_FIXED, _GATED),
    "growing, cosine": staged(*_GROWING, _cosine()),
    "growing, gated": staged(*_GROWING, _GATED),
}


def _gentle(arm: str) -> str:
    return f"gentle {arm}"


GENTLE_ARMS: Mapping[str, Arm] = {
    **{_gentle(name): arm for name, arm in domain_arms(GENTLE_TESTS, _RATE, "training.steps=80").items()},
    **{_gentle(name): arm for name, arm in _LENGTHS.items()},
}


def _again(one: Comparison) -> Comparison:
    """A comparison between the arms of this round."""
    return replace(one, arms=tuple(map(_gentle, one.arms)), against=tuple(map(_gentle, one.against)))


def _tokens(says: str, label: str, arms: tuple[str, ...], against: tuple[str, ...], words: Words | None) -> Comparison:
    return _again(Comparison(says, label, arms, against, "tokens_per_right", margin=5.0, words=words))


def _accuracy(says: str, label: str, arms: tuple[str, ...], against: tuple[str, ...]) -> Comparison:
    return _again(Comparison(says, label, arms, against))


_BOTH_GATED, _BOTH_UNGATED = ("cap 192, gated", "growing, gated"), ("cap 192, cosine", "growing, cosine")
_OF_LENGTHS = FIRST["lengths"].measures

GENTLE: Mapping[str, Question] = {
    "domains-gentle": Question(
        title="Other domains again, at a rate that the base bears: does training carry over, and does a mixture cost?",
        hypothesis=(
            "As before, at 1e-4 for 80 steps, with 408 test problems a domain. Predicted: arithmetic and programs gain "
            "more than 5 points from their own training and logic less than 5; arithmetic moves logic and programs by "
            "less than 5 points; the mixture is within 5 points of each domain's own training."
        ),
        arms=tuple(map(_gentle, DOMAINS.arms)),
        comparisons=tuple(map(_again, DOMAINS.comparisons)),
        measures=DOMAINS.measures,
        round=4,
    ),
    "lengths-gentle": Question(
        title="Length schedules again, at a rate that the base bears and at equal tokens",
        hypothesis=(
            "As before, at 1e-4, with as many steps as come to 60,000 tokens. Predicted: growing caps end within 3 "
            "points of 192 and need fewer tokens per right answer; a cap of 64 is the shortest and loses more than 3 "
            "points; the adaptive cap behaves like growing ones."
        ),
        arms=tuple(map(_gentle, FIRST["lengths"].arms)),
        comparisons=tuple(map(_again, FIRST["lengths"].comparisons)),
        measures=_OF_LENGTHS,
        round=4,
    ),
    "length-reward": Question(
        title="Do a length schedule and a length reward add up?",
        hypothesis=(
            "The base with long solutions and 60,000 tokens at 1e-4, under 192 tokens or growing caps, with a cosine "
            "reward instead of the verdict, and with one that is gated (the plain verdict below a group accuracy of "
            "0.5). Predicted: under growing caps the cosine saves more than 5 tokens per right answer and costs less "
            "than 3 points of accuracy; the gate changes neither, as this base is seldom below a half."
        ),
        arms=tuple(map(_gentle, ("cap 192", "growing", *_BOTH_UNGATED, *_BOTH_GATED))),
        comparisons=(
            _tokens(
                "tokens per right answer, growing caps with the cosine less without",
                "tokens, growing",
                ("growing, cosine",),
                ("growing",),
                Words(
                    "the cosine makes right answers dearer",
                    "the cosine saves tokens on top of growing caps",
                    "the cosine saves nothing on top of growing caps",
                ),
            ),
            _tokens(
                "tokens per right answer, 192 with the cosine less without",
                "tokens, 192",
                ("cap 192, cosine",),
                ("cap 192",),
                None,
            ),
            _accuracy(
                "accuracy of growing with the cosine less without", "growing", ("growing, cosine",), ("growing",)
            ),
            _accuracy("accuracy of 192 with the cosine less without", "192", ("cap 192, cosine",), ("cap 192",)),
            _accuracy("accuracy of the gated cosine less the ungated, both caps", "gated", _BOTH_GATED, _BOTH_UNGATED),
            _tokens(
                "tokens per right answer, gated less ungated, both caps",
                "tokens, gated",
                _BOTH_GATED,
                _BOTH_UNGATED,
                None,
            ),
        ),
        measures=_OF_LENGTHS,
        round=4,
    ),
}
