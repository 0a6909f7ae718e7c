"""The paper's open questions in miniature, first round: arms, comparisons, predictions.

Decisions, all written down before the first run of a question:
- An arm is a recipe of recipes/mini with replaced values. One arm may serve several questions: it is run once.
- Five seeds an arm. Arms are compared within a seed, which fixes the order of problems, the model and the random
  numbers of sampling.
- Each question has one or two primary comparisons. Only these get a verdict, after Holm's correction over all
  primary comparisons of the round that are answered (benchmarks/question_verdicts.py).
- `margin` is the largest effect that would not matter; an interval within it to both sides is "no difference".
- Accuracy is that of the last model, on the 306 test problems of mixed difficulty, a sample each at temperature 0.6;
  nothing is chosen by it.

Not covered: running (benchmarks/questions.py), what was asked after these (question_second.py).
"""

from collections.abc import Mapping

from question_forms import Arm, Comparison, Question, Words

BARE = ("data.validation=null", "guard.enabled=false")
"""Nothing but training: the last model is evaluated afterwards."""


def groups(prompts: int, size: int, *more: str) -> Arm:
    """Bare training on 32 completions a step, or another number of them."""
    return Arm("short", (*BARE, f"rollout.prompts_per_step={prompts}", f"rollout.group_size={size}", *more))


def _process(weight: float) -> Arm:
    terms = f"{{name: accuracy, weight: 1.0}}, {{name: format, weight: 0.5}}, {{name: process, weight: {weight}}}"
    return Arm("short", (*BARE, f"rewards=[{terms}]"))


_RATE = "optimizer.learning_rate=1.5e-3"
_BREVITY = "rewards=[{name: accuracy, weight: 1.0}, {name: format, weight: 0.5}, {name: length, weight: 3.0}]"
_NOTHING, _PATIENCE, _GUARD = "guard.enabled=false", "selection.patience=2", "guard.enabled=true"


def _collapse(*what: str) -> Arm:
    """30 steps under a rate that stays and no felt KL term, validated every 5."""
    validated = (
        "data.validation={source: arithmetic, split: validation, limit: 99, seed: 12}",
        "evaluation={every: 5, samples_per_problem: 2, temperature: 0.6}",
    )
    held = ("optimizer.schedule=constant", "algorithm.loss.kl_coef=1.0e-6", "training.steps=30")
    return Arm("short", (*validated, *held, *what))


TRAINING_ONLY = (*BARE, "data.test=null", "evaluation.every=null")


def language(weight: float, *more: str) -> Arm:
    """open-rs3 for 60 steps, with a language reward."""
    long = (*TRAINING_ONLY, "training.steps=60", "training.micro_batch_tokens=1024", *more)
    if not weight:
        return Arm("open-rs3", long)
    return Arm("open-rs3-language", (*long, f"rewards.2.weight={weight}"))


def _at_equal_tokens(recipe: str, *more: str) -> Arm:
    """At most 40 steps of 72 completions, and no more than 100,000 tokens."""
    held = ("training.steps=40", "training.micro_batch_tokens=1024", "budget.tokens=100000")
    return Arm(recipe, (*TRAINING_ONLY, *held, *more))


def lengths(*schedule: str) -> Arm:
    """A base whose right solutions are long, caps of 64 to 192 tokens, a rate that stays, 60,000 tokens."""
    base = ("model.path=$DATA/long/model", "optimizer.schedule=constant", "budget.tokens=60000")
    return Arm("short", (*BARE, *base, *schedule))


def staged(kind: str, *more: str) -> Arm:
    """The published stages at 1/128: 8,192 is 64 tokens. 28 steps come to the tokens of the others."""
    schedule = f"length_schedule={{kind: {kind}, scale: 0.0078125}}"
    return lengths("rollout.max_completion_tokens=64", "training.steps=28", schedule, *more)


_DAPO = ("algorithm={preset: dapo}", "rollout.max_completion_tokens=96", "optimizer.schedule=constant")
_JUSTRL = (
    "algorithm={advantage: {preset: trl}, loss: {clip_low: 0.2, clip_high: 0.28, kl_coef: 0.0, aggregation: token}}",
    "rollout.max_completion_tokens=96",
    "rollout.temperature=1.0",
    "optimizer.schedule=constant",
)
"""arXiv 2512.16649: a rate and a cap that stay, no KL term, clip-higher, temperature 1. Its batch is not copied."""

FIRST_ARMS: Mapping[str, Arm] = {
    "16 x 2": groups(16, 2),
    "8 x 4": groups(8, 4),
    "4 x 8": Arm("short", BARE),
    "2 x 16": groups(2, 16),
    "16 problems": groups(8, 4, "data.train.limit=16"),
    "50 problems": groups(8, 4, "data.train.limit=50"),
    "in the band": groups(8, 4, "data.train.source=$DATA/band.jsonl"),
    "easy": groups(8, 4, "data.train.difficulties=[1]"),
    "hard": groups(8, 4, "data.train.difficulties=[3]"),
    "process 0.1": _process(0.1),
    "process 0.5": _process(0.5),
    "process 1": _process(1.0),
    "rate, plain": _collapse(_RATE, _NOTHING),
    "rate, patience": _collapse(_RATE, _NOTHING, _PATIENCE),
    "rate, guard": _collapse(_RATE, _GUARD),
    "brevity, plain": _collapse(_BREVITY, _NOTHING),
    "brevity, patience": _collapse(_BREVITY, _NOTHING, _PATIENCE),
    "brevity, guard": _collapse(_BREVITY, _GUARD),
    "language 0": language(0.0),
    "language 0.1": language(0.1),
    "language 0.25": language(0.25),
    "language 0.5": language(0.5),
    "cap 64": lengths("rollout.max_completion_tokens=64", "training.steps=60"),
    "cap 192": lengths("rollout.max_completion_tokens=192", "training.steps=60"),
    "growing": staged("deepscaler"),
    "grow, shrink": staged("fastcurl"),
    "adaptive": lengths(
        "rollout.max_completion_tokens=64",
        "training.steps=60",
        "length_schedule={kind: adaptive, every: 4, least_tokens: 64, most_tokens: 192}",
    ),
    "best": _at_equal_tokens("best"),
    "open-rs1": _at_equal_tokens("open-rs1"),
    "open-rs2": _at_equal_tokens("open-rs2"),
    "open-rs3": _at_equal_tokens("open-rs3"),
    "dapo": _at_equal_tokens("open-rs2", *_DAPO),
    "justrl": _at_equal_tokens("open-rs2", *_JUSTRL),
}
"""By name. $DATA is the folder of the sets that benchmarks/questions.py makes."""

FIRST: Mapping[str, Question] = {
    "group-size": Question(
        title="How few samples a problem, at equal completions?",
        hypothesis=(
            "32 completions a step, as 16 problems x 2, 8 x 4, 4 x 8 or 2 x 16. arXiv 2510.00977 says that two "
            "samples suffice if the completions are as many. Predicted: 16 x 2 ends within 3 points of 4 x 8 and "
            "wastes more groups; 2 x 16 is the worst, since two problems per step are few."
        ),
        arms=("16 x 2", "8 x 4", "4 x 8", "2 x 16"),
        comparisons=(
            Comparison(
                "accuracy of 16 x 2 less that of 4 x 8",
                "2 samples, not 8",
                ("16 x 2",),
                ("4 x 8",),
                words=Words(
                    "2 samples a problem beat 8",
                    "2 samples a problem are worse than 8",
                    "2 samples a problem do as well as 8",
                ),
            ),
            Comparison("accuracy of 8 x 4 less that of 4 x 8", "4 samples, not 8", ("8 x 4",), ("4 x 8",)),
            Comparison("accuracy of 2 x 16 less that of 4 x 8", "16 samples, not 8", ("2 x 16",), ("4 x 8",)),
        ),
        measures=("accuracy", "correct_in_training", "tokens", "dead_groups", "rollout_tokens"),
    ),
    "data": Question(
        title="How little data, and chosen how?",
        hypothesis=(
            "160 prompts of 4 samples from 16, 50 or 4,000 problems (200 and 1,000 would be 4,000 again: none of "
            "them shows a problem twice), and from 200 problems that the base solves 2 to 6 times in 8 (the band). "
            "Predicted: 50 lose less than 3 points to 4,000, and 16 lose more; the band gains less than 3 points "
            "over random."
        ),
        arms=("8 x 4", "50 problems", "in the band", "16 problems"),
        comparisons=(
            Comparison(
                "accuracy with 50 problems less that with 4,000",
                "50 problems",
                ("50 problems",),
                ("8 x 4",),
                words=Words("50 problems beat 4,000", "50 problems are too few", "50 problems do as well as 4,000"),
            ),
            Comparison(
                "accuracy with the band less that at random",
                "the band",
                ("in the band",),
                ("8 x 4",),
                words=Words(
                    "choosing by pass rate helps",
                    "choosing by pass rate hurts",
                    "choosing by pass rate changes nothing",
                ),
            ),
            Comparison("accuracy with 16 problems less that with 4,000", "16 problems", ("16 problems",), ("8 x 4",)),
        ),
        measures=("accuracy", "correct_in_training", "tokens", "dead_groups"),
    ),
    "difficulty": Question(
        title="Easy, hard or mixed problems?",
        hypothesis=(
            "160 prompts of 4 samples, easy ones, hard ones or all three difficulties. The paper mixes easy ones in "
            "after hard ones alone went wrong. Predicted: on mixed problems hard ones do as well as mixed ones, "
            "since here the base solves a fifth of them at once, and easy ones lose more than 3 points."
        ),
        arms=("8 x 4", "easy", "hard"),
        comparisons=(
            Comparison(
                "accuracy with hard problems less that with mixed ones",
                "hard, not mixed",
                ("hard",),
                ("8 x 4",),
                words=Words(
                    "hard problems beat mixed ones",
                    "hard problems alone are worse than mixed ones",
                    "hard problems alone do as well as mixed ones",
                ),
            ),
            Comparison(
                "accuracy with easy problems less that with mixed ones", "easy, not mixed", ("easy",), ("8 x 4",)
            ),
        ),
        measures=("accuracy", "correct_in_training", "tokens", "dead_groups", "rollout_tokens"),
    ),
    "process": Question(
        title="Does a process reward help, and is it gamed?",
        hypothesis=(
            "The process reward beside accuracy at weights 0, 0.1, 0.5 and 1. Predicted: accuracy moves by less than"
            " 3 points at 0.5, since the accuracy reward already asks for steps; at weight 1 wrong completions are "
            "paid more by it than without it (they carry the problem's numbers to a wrong answer), while trivial "
            "sums do not spread, because the reward leaves them out."
        ),
        arms=("4 x 8", "process 0.1", "process 0.5", "process 1"),
        comparisons=(
            Comparison(
                "accuracy with a process reward of 0.5 less that without",
                "process 0.5",
                ("process 0.5",),
                ("4 x 8",),
                words=Words(
                    "a process reward of 0.5 helps",
                    "a process reward of 0.5 hurts",
                    "a process reward of 0.5 changes nothing",
                ),
            ),
            Comparison(
                "what the process reward pays wrong completions, weight 1 less none",
                "pay of wrong ones",
                ("process 1",),
                ("4 x 8",),
                "pay_of_wrong",
                margin=0.05,
                words=Words(
                    "yes: wrong completions learn to earn it",
                    "no: wrong completions earn less of it",
                    "no: wrong completions earn as much as without it",
                ),
            ),
            Comparison("accuracy with weight 0.1 less that without", "process 0.1", ("process 0.1",), ("4 x 8",)),
            Comparison("accuracy with weight 1 less that without", "process 1", ("process 1",), ("4 x 8",)),
            Comparison(
                "true equalities beside the point, weight 1 less none",
                "beside the point",
                ("process 1",),
                ("4 x 8",),
                "beside_the_point",
            ),
            Comparison(
                "tokens, weight 1 less none", "tokens, process 1", ("process 1",), ("4 x 8",), "tokens", margin=1.0
            ),
        ),
        measures=("accuracy", "correct_in_training", "tokens", "pay_of_wrong", "beside_the_point", "equalities"),
    ),
    "guard": Question(
        title="Does the guard change the outcome, against plain early stopping?",
        hypothesis=(
            "Two collapses that the guard's rules were not made on: AdamW at 1.5e-3, which stays, and a length term "
            "that overpays brevity. Each with nothing, with patience 2, and with the guard; 30 steps, validated "
            "every 5. All keep the best on validation, and what is kept is measured on the test problems. Predicted:"
            " against the rate the guard keeps a better model than patience, as it goes on at a lower rate; against "
            "the reward neither helps, and patience is the cheaper."
        ),
        arms=(
            "rate, plain",
            "rate, patience",
            "rate, guard",
            "brevity, plain",
            "brevity, patience",
            "brevity, guard",
        ),
        comparisons=(
            Comparison(
                "accuracy of what is kept, guard less patience, mean of both collapses",
                "guard, not patience",
                ("rate, guard", "brevity, guard"),
                ("rate, patience", "brevity, patience"),
                words=Words(
                    "the guard keeps a better model than patience",
                    "the guard keeps a worse model than patience",
                    "the guard keeps as good a model as patience",
                ),
            ),
            Comparison(
                "rate too high: guard less patience", "rate: not patience", ("rate, guard",), ("rate, patience",)
            ),
            Comparison("rate too high: guard less nothing", "rate: not nothing", ("rate, guard",), ("rate, plain",)),
            Comparison(
                "brevity overpaid: guard less patience",
                "brevity: not patienc",
                ("brevity, guard",),
                ("brevity, patience",),
            ),
            Comparison(
                "brevity overpaid: guard less nothing", "brevity: not nothing", ("brevity, guard",), ("brevity, plain",)
            ),
            Comparison(
                "tokens sampled, guard less patience",
                "tokens, guard",
                ("rate, guard", "brevity, guard"),
                ("rate, patience", "brevity, patience"),
                "rollout_tokens",
                margin=1000.0,
            ),
        ),
        measures=("accuracy", "tokens", "rollout_tokens"),
    ),
    "language": Question(
        title="What weight of a language reward keeps the language?",
        hypothesis=(
            "open-rs3 in miniature, whose cosine reward led to another language in every seed, for 60 steps with a "
            "language reward of 0, 0.1, 0.25 and 0.5. Predicted: 0.1 is enough, since a solution in the other language "
            "is one token of 56 shorter, which the cosine pays with less than a hundredth; 0.5 costs less than 3 "
            "points of accuracy."
        ),
        arms=("language 0", "language 0.1", "language 0.25", "language 0.5"),
        comparisons=(
            Comparison(
                "late completions not in English, weight 0.1 less none",
                "foreign, 0.1",
                ("language 0.1",),
                ("language 0",),
                "foreign_late",
                margin=0.05,
                words=Words(
                    "a weight of 0.1 makes it worse",
                    "a weight of 0.1 keeps the language",
                    "a weight of 0.1 does nothing",
                ),
            ),
            Comparison("accuracy, weight 0.5 less none", "accuracy, 0.5", ("language 0.5",), ("language 0",)),
            Comparison("accuracy, weight 0.1 less none", "accuracy, 0.1", ("language 0.1",), ("language 0",)),
        ),
        measures=("accuracy", "foreign_late", "tokens", "rollout_tokens"),
    ),
    "lengths": Question(
        title="Does a length schedule beat a fixed cap, at equal tokens?",
        hypothesis=(
            "A base fine-tuned on long solutions (87 % right with 256 tokens, and right more often above 40 tokens "
            "than below; 59 % of its completions exceed 64). 60,000 tokens under a cap of 64, one of 192, "
            "DeepScaleR's stages (64, 128, 192), FastCuRL's (64, 128, 192, 128) and the adaptive cap. Predicted: a "
            "cap of 64 shortens most and pays with accuracy at 256; growing caps end within 3 points of 192 with "
            "fewer tokens per right answer; adaptive behaves like growing."
        ),
        arms=("cap 64", "cap 192", "growing", "grow, shrink", "adaptive"),
        comparisons=(
            Comparison(
                "accuracy of growing caps less that of 192",
                "growing",
                ("growing",),
                ("cap 192",),
                words=Words(
                    "growing caps beat a fixed one",
                    "growing caps are worse than a fixed one",
                    "growing caps do as well as a fixed one",
                ),
            ),
            Comparison("accuracy of a cap of 64 less that of 192", "cap 64", ("cap 64",), ("cap 192",)),
            Comparison("accuracy of FastCuRL's stages less 192", "grow, shrink", ("grow, shrink",), ("cap 192",)),
            Comparison("accuracy of the adaptive cap less 192", "adaptive", ("adaptive",), ("cap 192",)),
            Comparison(
                "tokens per right answer, growing less 192",
                "tokens",
                ("growing",),
                ("cap 192",),
                "tokens_per_right",
                margin=5.0,
            ),
        ),
        measures=("accuracy", "tokens", "tokens_per_right", "truncated_in_training", "rollout_tokens"),
    ),
    "best": Question(
        title="Is what held up, combined, better than the published settings?",
        hypothesis=(
            "recipes/mini/best.yaml against the paper's three settings and those of DAPO and JustRL, at most 40 "
            "steps of 72 completions and 100,000 tokens each. Predicted: more than 3 points above open-rs2, because "
            "of its rate and cap; DAPO's comes closest, at fewer steps."
        ),
        arms=("best", "open-rs1", "open-rs2", "open-rs3", "dapo", "justrl"),
        comparisons=(
            Comparison(
                "accuracy of best less open-rs2",
                "not open-rs2",
                ("best",),
                ("open-rs2",),
                words=Words(
                    "the combination beats the paper's second setting",
                    "the combination is worse than the paper's second setting",
                    "the combination does as well as the paper's second setting",
                ),
            ),
            Comparison("accuracy of best less open-rs1", "not open-rs1", ("best",), ("open-rs1",)),
            Comparison("accuracy of best less open-rs3", "not open-rs3", ("best",), ("open-rs3",)),
            Comparison("accuracy of best less DAPO", "not DAPO", ("best",), ("dapo",)),
            Comparison("accuracy of best less JustRL", "not JustRL", ("best",), ("justrl",)),
        ),
        measures=("accuracy", "correct_in_training", "tokens", "rollout_tokens"),
    ),
}
