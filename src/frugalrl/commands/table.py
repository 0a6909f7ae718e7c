"""The commands by group, each with its module, what it is for, and examples. A new command is a line here.

`frugalrl --help` is made from this table alone; a command's module is imported when it is called.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One command."""

    module: str
    """Below `frugalrl.commands`."""
    purpose: str
    """A few words for the list."""
    examples: tuple[str, ...]
    """Command lines without `frugalrl NAME`."""
    is_long: bool = False
    """It works for a while, says how far it is, and takes --quiet and --json."""
    is_slow: bool = False
    """It may work for seconds without a word, so that a terminal shows that it does."""


GROUPS: Mapping[str, Mapping[str, Command]] = {
    "Start": {
        "recipes": Command("recipes", "the recipes that are shipped, by name", ("", "open-rs2 > my.yaml")),
        "init": Command(
            "init",
            "write a recipe for your model and data",
            ("", "--model Qwen/Qwen2.5-0.5B-Instruct --data problems.csv --out my.yaml"),
        ),
        "convert": Command(
            "convert",
            "recipes of TRL, open-r1 and open-rs into ours, and back",
            ("grpo.yaml --processes 3 --out my.yaml", "open-rs2 --to verl"),
        ),
    },
    "Train": {
        "plan": Command(
            "plan",
            "memory, hours and dollars, before a run",
            ("open-rs2 --gpu A40 H100", "quickstart --measure", "my.yaml --gpu L4 --usd-per-hour 0.35 --json"),
            is_slow=True,
        ),
        "doctor": Command(
            "doctor",
            "what would keep a recipe from learning, and the fix",
            ("quickstart", "my.yaml --json", "my.yaml --set rollout.temperature=0.7 --cheap"),
            is_slow=True,
        ),
        "train": Command(
            "train",
            "GRPO from a recipe: a better checkpoint, and how much better",
            ("quickstart", "open-rs2 --dry-run", "my.yaml --set training.steps=50 --out runs/try", "my.yaml --resume"),
            is_long=True,
        ),
        "sft": Command(
            "sft",
            "supervised fine-tuning, or a model from scratch",
            ("tiny-base", "my-sft.yaml --set training.epochs=2"),
            is_long=True,
        ),
    },
    "Watch and judge": {
        "watch": Command(
            "watch", "a live view of a run in the terminal", ("runs/quickstart", "runs/quickstart --once")
        ),
        "eval": Command(
            "eval",
            "accuracy on benchmarks, with intervals; resumes where it stopped",
            (
                "runs/quickstart/model --bench arithmetic",
                "my-model --bench math500,aime24 --k 4",
                "my-model --bench my.csv",
            ),
            is_long=True,
        ),
        "import": Command(
            "import_log",
            "logs of inspect_ai, lm_eval, lighteval as results of ours",
            ("logs/2026-11-21_sums.eval --out imported/sums", "lm_eval_output --out imported/lm"),
        ),
        "export": Command("export_log", "an evaluation for inspect_ai's viewer", ("evaluations/tiny --out logs",)),
        "regrade": Command("regrade", "judge stored completions again", ("evaluations/model",), is_slow=True),
        "compare": Command(
            "compare",
            "better, worse, or inconclusive",
            ("runs/quickstart", "evaluations/tiny evaluations/model", "a b c --no-worse-than 1 --page abc.html"),
            is_slow=True,
        ),
        "power": Command("power", "how many problems and samples a question needs", ("--gain 3 --accuracy 40",)),
        "view": Command("view", "a run or evaluation in the browser, live", ("runs/quickstart", "evaluations")),
        "report": Command(
            "report",
            "one HTML page and a card of runs",
            ("runs/quickstart", "runs/a runs/b --out both.html", "--paper"),
            is_slow=True,
        ),
        "guard": Command(
            "guard",
            "when the guard would have acted, and why",
            (
                "runs/quickstart",
                "runs/a --set guard.least_fall=0.1",
            ),
        ),
    },
    "Data and rewards": {
        "curate": Command(
            "curate",
            "from raw pools to a clean, mixed set",
            ("curate/open-rs", "my-spec.yaml --out data/mine", "my-spec.yaml --resume"),
            is_long=True,
        ),
        "export-data": Command(
            "export_data",
            "data as a Hub folder with a card, or as prompts of TRL and verl",
            ("curated/open-rs --to hub --out set", "problems.csv --to verl --out verl-data --recipe my.yaml"),
        ),
        "check-golds": Command(
            "check_golds",
            "can every gold answer be verified?",
            ("problems.jsonl", "my.csv --field final"),
            is_long=True,
        ),
        "score": Command(
            "score",
            "verdicts and rewards of stored completions",
            ("completions.jsonl --reward accuracy,format --out scored.jsonl",),
            is_long=True,
        ),
        "meter": Command(
            "meter", "language and degeneracy of stored completions", ("completions.jsonl",), is_slow=True
        ),
    },
    "Share": {
        "push": Command(
            "push",
            "a model, adapter, data set or report to the Hub, with its card",
            ("runs/quickstart ORG/NAME", "curated/open-rs ORG/NAME --kind dataset"),
        ),
    },
    "Tools": {
        "schema": Command("schema", "the JSON Schema of a recipe, for editors", ("train > train.schema.json",)),
        "completion": Command("completion", "completion for your shell", ("bash >> ~/.bashrc", "zsh", "fish")),
    },
}


def commands() -> dict[str, Command]:
    """Every command by its name."""
    return {name: command for group in GROUPS.values() for name, command in group.items()}
