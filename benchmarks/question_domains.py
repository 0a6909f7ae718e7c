"""Other domains under the same budget: logic puzzles and small programs beside arithmetic, together or alone. Pure.

Registered before the first run of its arms. All start from the base of recipes/tiny-base-domains.yaml
(docs/tiny-domains.md) and take 40 steps of 32 completions: a mixture sees a third as many of each domain as an arm of
one. The last model is evaluated on test problems of each domain (question_data.py), a sample each at temperature 0.6
with the run's seed; so is the base, whose "training" is one step at a rate of 1e-12. Holm's correction is over the
primary comparisons of this question.
"""

from collections.abc import Mapping

from question_forms import Arm, Comparison, Question, Words

DOMAIN_TESTS = ("domains/arithmetic.jsonl", "domains/logic.jsonl", "domains/programs.jsonl")
"""Below the data folder."""
_BARE = ("data.validation=null", "guard.enabled=false")


BASE, ARITHMETIC, LOGIC, PROGRAMS, MIXED = (
    "domains: base",
    "domains: arithmetic",
    "domains: logic",
    "domains: programs",
    "domains: mixed",
)


def domain_arms(tests: tuple[str, ...], *settings: str) -> Mapping[str, Arm]:
    """The base and what it is trained on, each with settings of all, evaluated on some tests."""

    def arm(*own: str) -> Arm:
        return Arm("domains", (*_BARE, *settings, *own), tests)

    return {
        BASE: arm("training.steps=1", "optimizer.learning_rate=1.0e-12"),
        ARITHMETIC: arm("data.train.source=arithmetic"),
        LOGIC: arm("data.train.source=logic"),
        PROGRAMS: arm("data.train.source=programs"),
        MIXED: arm(),
    }


DOMAIN_ARMS = domain_arms(DOMAIN_TESTS)
_OF = {ARITHMETIC: "accuracy_arithmetic", LOGIC: "accuracy_logic", PROGRAMS: "accuracy_programs"}


def _carries(domain: str) -> Words:
    return Words(
        f"training on arithmetic helps {domain}",
        f"training on arithmetic costs {domain}",
        f"training on arithmetic leaves {domain} as it is",
    )


def _costs(domain: str) -> Words:
    return Words(
        f"the mixture helps {domain}",
        f"the mixture costs {domain}",
        f"the mixture does as well on {domain} as {domain} alone",
    )


def _less_base(arm: str, domain: str, label: str, words: Words | None = None) -> Comparison:
    trained, tested = (one.removeprefix("domains: ") for one in (arm, domain))
    return Comparison(
        f"accuracy on {tested} after training on {trained}, less the base's",
        label,
        (arm,),
        (BASE,),
        _OF[domain],
        margin=0.05,
        words=words,
    )


def _mixed_less_own(domain: str, label: str, words: Words | None = None) -> Comparison:
    name = domain.removeprefix("domains: ")
    return Comparison(
        f"accuracy on {name}, mixed less {name} alone",
        label,
        (MIXED,),
        (domain,),
        _OF[domain],
        margin=0.05,
        words=words,
    )


DOMAINS = Question(
    title="Does training on one domain carry over to others, and does a mixture cost?",
    hypothesis=(
        "A base that knows arithmetic, logic puzzles and one-line programs, each with careful solutions and hasty "
        "guesses; 40 steps of 32 completions on one domain or on the three in turn. Programs are judged by their tests "
        "in the sandbox, puzzles by the exact checker. Predicted: each domain gains more than 10 points from its own "
        "training; arithmetic alone raises logic and programs by more than 5 points, since what is learned is to work "
        "a problem out and not to guess, which the domains share; the mixture loses more than 5 points to each "
        "domain's own training, as it sees a third of it, and is best on the mean of the three."
    ),
    arms=(BASE, ARITHMETIC, LOGIC, PROGRAMS, MIXED),
    comparisons=(
        _less_base(ARITHMETIC, LOGIC, "arithm. to logic", _carries("logic")),
        _less_base(ARITHMETIC, PROGRAMS, "arithm. to programs", _carries("programs")),
        _mixed_less_own(LOGIC, "mixed, on logic", _costs("logic")),
        _mixed_less_own(PROGRAMS, "mixed, on programs", _costs("programs")),
        _mixed_less_own(ARITHMETIC, "mixed, on arithm."),
        _less_base(LOGIC, LOGIC, "logic to logic"),
        _less_base(PROGRAMS, PROGRAMS, "programs to itself"),
        _less_base(ARITHMETIC, ARITHMETIC, "arithm. to itself"),
        _less_base(LOGIC, ARITHMETIC, "logic to arithm."),
        _less_base(LOGIC, PROGRAMS, "logic to programs"),
        _less_base(PROGRAMS, ARITHMETIC, "programs to arithm."),
        _less_base(PROGRAMS, LOGIC, "programs to logic"),
        Comparison(
            "accuracy on all three, mixed less the mean of the three alone",
            "mixed, on all three",
            (MIXED,),
            (ARITHMETIC, LOGIC, PROGRAMS),
            margin=0.05,
        ),
    ),
    round=3,
    measures=(*_OF.values(), "accuracy", "correct_in_training", "tokens"),
)
