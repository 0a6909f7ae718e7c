"""The paper's open questions in miniature, second round: what the first could not tell, and what it did not ask.

Registered after the first five seeds of group sizes, data, difficulty and process reward were known, and before any
run of what follows. How many seeds: benchmarks/question_power.py, from the first round's differences. Their standard
deviations over seeds were 3.6 to 11.8 points, of which the evaluation's own noise (306 problems, a sample each) is 1.8:
more samples of each problem would buy little, so seeds were bought. To tell a difference of 3 points with 80 % power,
the process reward needs 14 seeds, 50 problems 27, the band 31, group sizes 123; difficulty needs 9 for the difference
that was seen, at a tenth of the level. Fifteen seeds were chosen for all but the group sizes, which get longer runs
instead. Seeds 6 to 20 alone count: the first five are what the question was chosen by.

Decisions beyond those of question_first.py:
- Holm's correction is over this round's primary comparisons.
- A recipe with a system prompt is evaluated under it.
- 1,000 problems are no arm: 100 steps of 8 prompts show none of them twice.

Not covered: other domains (question_domains.py); lengths, whose first rate damaged their base (question_gentle.py).
"""

from collections.abc import Mapping

from question_first import BARE, FIRST, TRAINING_ONLY, groups, language
from question_forms import Arm, Comparison, Question, Words

FRESH = tuple(range(6, 21))
TEN, FIVE = FRESH[:10], FRESH[:5]

_LONGER = ("training.steps=100",)
IN_ENGLISH = "Respond in English."
_DRIFTED = "model.path=$DATA/drifted/model"
_BILINGUAL = ("model.path=$DATA/bilingual/model", "rollout.max_prompt_tokens=192")
_SAID = f"data.prompt.system={IN_ENGLISH}"
_PLAIN = "rewards=[{name: format, weight: 1.0}, {name: accuracy, weight: 2.0}]"


def _recovery(recipe: str, *more: str) -> Arm:
    """40 steps from a base that went over to another language."""
    steps = ("training.steps=40", "training.micro_batch_tokens=1024")
    return Arm(recipe, (*TRAINING_ONLY, *steps, _DRIFTED, *more))


def _earlier(weight: float) -> Arm:
    """The process reward as it was before it was fixed."""
    earlier = f"{{name: question_rewards.share_that_holds, weight: {weight}}}"
    return Arm("short", (*BARE, f"rewards=[{{name: accuracy, weight: 1.0}}, {{name: format, weight: 0.5}}, {earlier}]"))


SECOND_ARMS: Mapping[str, Arm] = {
    "drifted, cosine": _recovery("open-rs3"),
    "drifted, language 0.25": _recovery("open-rs3-language", "rewards.2.weight=0.25"),
    "drifted, accuracy": _recovery("open-rs3", _PLAIN),
    "bilingual, no prompt": language(0.0, *_BILINGUAL),
    "bilingual, prompt": language(0.0, *_BILINGUAL, _SAID),
    "earlier process 0.5": _earlier(0.5),
    "earlier process 1": _earlier(1.0),
    "50 problems, longer": groups(8, 4, *_LONGER, "data.train.limit=50"),
    "200 problems, longer": groups(8, 4, *_LONGER, "data.train.limit=200"),
    "4,000 problems, longer": groups(8, 4, *_LONGER),
    "16 x 2, longer": groups(16, 2, "training.steps=60"),
    "4 x 8, longer": groups(4, 8, "training.steps=60"),
}

SECOND: Mapping[str, Question] = {
    "again": Question(
        title="The first round again, on fifteen fresh seeds",
        hypothesis=(
            "What the first five seeds left open, on seeds 6 to 20 alone. Predicted: hard problems alone are worse "
            "than mixed ones, by more than 5 points; a process reward of 0.5 changes accuracy by less than 3; with "
            "weight 1 wrong completions earn more of it, by more than 5; 50 problems and the band stay within 5 "
            "points of 4,000 at random, which fifteen seeds can tell from zero only beyond 4."
        ),
        arms=("8 x 4", "hard", "4 x 8", "process 0.5", "process 1", "50 problems", "in the band"),
        comparisons=(
            *(one for name in ("difficulty", "process", "data") for one in FIRST[name].comparisons if one.primary),
            Comparison(
                "accuracy with a process reward of 1 less that without", "process 1", ("process 1",), ("4 x 8",)
            ),
        ),
        measures=("accuracy", "correct_in_training", "tokens", "dead_groups", "pay_of_wrong"),
        seeds=FRESH,
        round=2,
    ),
    "recovery": Question(
        title="Does a model that drifted come back?",
        hypothesis=(
            "The base is open-rs3 in miniature after 120 steps, which by the record ends nearly all in Chinese. 40 "
            "more steps under the same reward, under the same with a language reward of 0.25, and under plain "
            "accuracy. Predicted: 0.25 brings English back (fewer than 20 % of the last completions are not English), "
            "at no more than 3 points of accuracy; plain accuracy alone does not (more than 60 %)."
        ),
        arms=("drifted, cosine", "drifted, language 0.25", "drifted, accuracy"),
        comparisons=(
            Comparison(
                "late completions not in English, language reward of 0.25 less none",
                "foreign, 0.25",
                ("drifted, language 0.25",),
                ("drifted, cosine",),
                "foreign_late",
                margin=0.05,
                words=Words(
                    "a language reward of 0.25 makes it worse",
                    "a language reward of 0.25 brings English back",
                    "a language reward of 0.25 does not bring it back",
                ),
            ),
            Comparison(
                "late completions not in English, plain accuracy less cosine",
                "foreign, accuracy",
                ("drifted, accuracy",),
                ("drifted, cosine",),
                "foreign_late",
                margin=0.05,
            ),
            Comparison(
                "accuracy, language reward of 0.25 less none",
                "accuracy, 0.25",
                ("drifted, language 0.25",),
                ("drifted, cosine",),
            ),
        ),
        measures=("accuracy", "foreign_late", "tokens"),
        seeds=FIVE,
        round=2,
    ),
    "prompt": Question(
        title="Does the prompt alone hold the language?",
        hypothesis=(
            "A base that was fine-tuned to answer in the language that its system prompt names, and without one as "
            "the tiny base does. open-rs3 in miniature for 60 steps, with and without 'Respond in English.' "
            "Predicted: under the prompt fewer than 5 % of the last completions are not English, since so few are "
            "drawn that there is nothing to reward; without it more than 15 %. The paper's prompt did not hold its "
            "model."
        ),
        arms=("bilingual, no prompt", "bilingual, prompt"),
        comparisons=(
            Comparison(
                "late completions not in English, with the prompt less without",
                "foreign, prompt",
                ("bilingual, prompt",),
                ("bilingual, no prompt",),
                "foreign_late",
                margin=0.05,
                words=Words(
                    "the prompt makes it worse", "the prompt alone holds the language", "the prompt changes nothing"
                ),
            ),
            Comparison(
                "accuracy, with the prompt less without",
                "accuracy, prompt",
                ("bilingual, prompt",),
                ("bilingual, no prompt",),
            ),
        ),
        measures=("accuracy", "foreign_late", "tokens"),
        seeds=FIVE,
        round=2,
    ),
    "earlier-process": Question(
        title="What did fixing the process reward change?",
        hypothesis=(
            "The process reward as it was, the share of stated equalities that hold where at least three are stated, "
            "beside the fixed one and none. Predicted: true sums that lead nowhere do not spread within 20 steps "
            "(less than 3 points), since the base writes hardly any that could be rewarded, and the fixed one is not "
            "told from the earlier by accuracy either. What the earlier one pays for padding is in "
            "docs/rewards/process.md."
        ),
        arms=("4 x 8", "process 0.5", "process 1", "earlier process 0.5", "earlier process 1"),
        comparisons=(
            Comparison(
                "true equalities beside the point, earlier reward at 1 less none",
                "beside, earlier",
                ("earlier process 1",),
                ("4 x 8",),
                "beside_the_point",
                words=Words(
                    "the earlier reward is gamed by sums that lead nowhere",
                    "the earlier reward makes sums that lead nowhere rarer",
                    "the earlier reward is not gamed in 20 steps",
                ),
            ),
            Comparison(
                "equalities a completion, earlier reward at 1 less none",
                "equalities, earlier",
                ("earlier process 1",),
                ("4 x 8",),
                "equalities",
                margin=0.2,
            ),
            Comparison(
                "accuracy, fixed less earlier at weight 1",
                "fixed at 1",
                ("process 1",),
                ("earlier process 1",),
            ),
            Comparison(
                "accuracy, fixed less earlier at weight 0.5",
                "fixed at 0.5",
                ("process 0.5",),
                ("earlier process 0.5",),
            ),
        ),
        measures=("accuracy", "tokens", "pay_of_wrong", "beside_the_point", "equalities"),
        seeds=TEN,
        round=2,
    ),
    "longer-data": Question(
        title="How little data, if problems come again?",
        hypothesis=(
            "100 steps of 8 x 4 from 50, 200 or 4,000 problems: each problem comes 16 times, 4 times or once. "
            "Predicted: 200 stay within 3 points of 4,000; 50 lose more than 3."
        ),
        arms=("50 problems, longer", "200 problems, longer", "4,000 problems, longer"),
        comparisons=(
            Comparison(
                "accuracy with 200 problems less that with 4,000",
                "200 problems",
                ("200 problems, longer",),
                ("4,000 problems, longer",),
                words=Words("200 problems beat 4,000", "200 problems are too few", "200 problems do as well as 4,000"),
            ),
            Comparison(
                "accuracy with 50 problems less that with 4,000",
                "50 problems",
                ("50 problems, longer",),
                ("4,000 problems, longer",),
            ),
        ),
        measures=("accuracy", "correct_in_training", "tokens", "dead_groups"),
        seeds=FIVE,
        round=2,
    ),
    "longer-groups": Question(
        title="How few samples a problem, in longer runs?",
        hypothesis=(
            "16 x 2 against 4 x 8 for 60 steps instead of 20, as 20 would need 123 seeds. Predicted: a smaller spread "
            "over seeds, and 16 x 2 within 3 points."
        ),
        arms=("16 x 2, longer", "4 x 8, longer"),
        comparisons=(
            Comparison(
                "accuracy of 16 x 2 less that of 4 x 8, 60 steps",
                "2 samples, not 8",
                ("16 x 2, longer",),
                ("4 x 8, longer",),
                words=Words(
                    "2 samples a problem beat 8",
                    "2 samples a problem are worse than 8",
                    "2 samples a problem do as well as 8",
                ),
            ),
        ),
        measures=("accuracy", "correct_in_training", "tokens", "dead_groups", "rollout_tokens"),
        seeds=TEN,
        round=2,
    ),
}
"""By worth: what runs first comes first."""
