"""The paper's open questions in miniature, with a verdict for each: `python benchmarks/questions.py`.

Part of `make experiments`. Runs every arm of question_arms.py with its seeds, one thread a run, --workers at a time;
finished runs are skipped, so the command can be stopped and started again. What a question's verdict needs comes
first. Then writes a line a run to records/questions.jsonl, the tables of docs/what-works.md and a figure for each
question; --table does only that, and keeps the lines of runs that are not here. --also names folders of other drivers:
their runs are read, and neither made there nor made again.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from doc_tables import DOCS, put
from question_arms import ARMS, QUESTIONS
from question_data import MAKERS, make_domain_tests
from question_forms import Arm, Question
from question_measures import measured
from question_runs import QuestionRun, is_done, run_here
from question_tables import forest, question_text, summary_table
from question_verdicts import answers, by_arm
from seeded_runs import MINI

import frugalrl

RECORD = Path(__file__).parent / "records" / "questions.jsonl"


def main() -> None:
    """Train what is missing, record all, write and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/questions"))
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="folders with finished runs, only read")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--only", nargs="*", choices=list(QUESTIONS), help="questions (default: all)")
    parser.add_argument("--table", action="store_true", help="train nothing: record and show what is finished")
    parser.add_argument("--record", action="store_true", help="also write docs/ and benchmarks/records")
    chosen = parser.parse_args()
    if not chosen.table:
        asked = {name: QUESTIONS[name] for name in chosen.only or QUESTIONS}
        missing = not_in(chosen.also, plan(asked))
        make_what_is_named([ARMS[arm] for arm, _ in missing], chosen.out / "data")
        run_here([job_of(arm, seed, chosen.out) for arm, seed in missing], chosen.out, chosen.workers)
    rows = rows_of([chosen.out, *chosen.also])
    texts, figures = tables(rows)
    if chosen.record:
        RECORD.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        for name, text in texts.items():
            put("what-works.md", name, text)
        put("what-works.md", "frugal plan", frugal_plan())
        for name, figure in figures.items():
            (DOCS / "figures" / name).write_text(figure, encoding="utf-8")
    print("\n".join(texts.values()))


def make_what_is_named(arms: Sequence[Arm], folder: Path) -> None:
    """The sets and bases that some arms start from."""
    settings = [setting for arm in arms for setting in arm.overrides]
    for name, make in MAKERS.items():
        if any(name in setting for setting in settings):
            make(folder)
    if any(arm.tests for arm in arms):
        make_domain_tests(folder)


def plan(questions: Mapping[str, Question]) -> list[tuple[str, int]]:
    """The runs of some questions in order, each once: what the verdicts of a round need first."""
    ordered: list[tuple[str, int]] = []
    for number in sorted({one.round for one in questions.values()}):
        asked = [one for one in questions.values() if one.round == number]
        for primary in (True, False):
            for question in asked:
                arms = needed(question) if primary else question.arms
                ordered += [(arm, seed) for seed in question.seeds for arm in arms]
    return list(dict.fromkeys(ordered))


def needed(question: Question) -> tuple[str, ...]:
    """The arms of a question's primary comparisons."""
    both = [arm for one in question.comparisons if one.primary for arm in (*one.arms, *one.against)]
    return tuple(dict.fromkeys(both))


def job_of(arm: str, seed: int, out: Path) -> QuestionRun:
    """One run of an arm."""
    data = (out / "data").resolve()
    settings = tuple(one.replace("$DATA", str(data)) for one in ARMS[arm].overrides)
    name = arm.replace(",", "").replace(":", "").replace(" ", "-")
    path, tests = MINI / f"{ARMS[arm].recipe}.yaml", ARMS[arm].tests
    if not tests:
        return QuestionRun(f"question-{name}", path, seed, settings)
    files = tuple(str(data / test) for test in tests)
    return QuestionRun(f"question-{name}", path, seed, settings, files, sampling_seed=seed)


def not_in(folders: Sequence[Path], runs: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The runs that none of the folders has."""
    return [one for one in runs if not any(is_there(one, folder) for folder in folders)]


def is_there(run: tuple[str, int], folder: Path) -> bool:
    """Whether a folder holds the finished run."""
    return is_done(job_of(*run, folder), folder)


def rows_of(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """A line for every finished run, in the first folder that has it, and the lines that the record has of others."""
    known: dict[tuple[str, int], dict[str, Any]] = {}
    if RECORD.is_file():
        lines = (json.loads(line) for line in RECORD.read_text(encoding="utf-8").splitlines())
        known = {(row["arm"], row["seed"]): row for row in lines}
    asked = sorted(plan(QUESTIONS), key=lambda one: (list(ARMS).index(one[0]), one[1]))
    for arm, seed in asked:
        folder = next((one for one in folders if is_there((arm, seed), one)), None)
        if folder is not None:
            known[arm, seed] = measured(arm, job_of(arm, seed, folder), folder)
    return [known[one] for one in asked if one in known]


def frugal_plan() -> str:
    """What recipes/frugal.yaml needs and costs on the paper's card, at the recipe's price, as computed."""
    recipe = frugalrl.load_recipe("frugal")
    ((card, found),) = frugalrl.plan(recipe, gpus=["A40"], usd_per_hour=recipe.budget.usd_per_hour)
    hours, usd = (f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]" for one in (found.hours, found.usd))
    head = "| card | memory, GB | hours | dollars |\n|---|---|---|---|\n"
    return f"{head}| {card} | {found.memory.peak_gb:.0f} of {found.memory_gb:.0f} | {hours} | {usd} |\n"


def tables(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], dict[str, str]]:
    """Markdown by its marks in docs/what-works.md, and figures by file name."""
    runs = by_arm(rows)
    found = answers(QUESTIONS, runs)
    texts = {"questions": summary_table(QUESTIONS, found)}
    figures: dict[str, str] = {}
    for name, question in QUESTIONS.items():
        texts[name] = question_text(question, found[name], runs)
        drawn = forest(question, found[name])
        if drawn is not None:
            figures[f"question-{name}.svg"] = drawn
            title = question.title if question.title.endswith("?") else f"{question.title}."
            texts[name] += f"\n![{title} Differences with intervals](figures/question-{name}.svg)\n"
    return texts, figures


if __name__ == "__main__":
    main()
